#include "gateway/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "gateway/limits.h"

void ps_tls_free(struct ps_tls *tls)
{
	if (tls->key)
		explicit_bzero(tls->key, strlen(tls->key));
	free(tls->cert);
	free(tls->key);
	*tls = (struct ps_tls){0};
}

static int read_pem(const char *path, const char *option, char **ret_text, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int r = ps_file_read(path, PS_TLS_FILE_MAX, &text);

	if (r < 0)
		return ps_error_set(err, r, 400, "tls_file", option, "Cannot read %s: %s.", path, strerror(-r));
	if (!ps_buf_str(&text))
		return -ENOMEM;
	if (strlen((char *)text.data) != text.len || !strstr((char *)text.data, "-----BEGIN "))
		return ps_error_set(err, -EINVAL, 400, "tls_file", option,
			"%s is no PEM file; it must begin with -----BEGIN.", path);
	*ret_text = (char *)text.data;
	text = (struct ps_buf)PS_BUF_INIT;
	return 0;
}

int ps_tls_load(const char *cert_path, const char *key_path, struct ps_tls *ret_tls, struct ps_error *err)
{
	_cleanup_(ps_tls_free) struct ps_tls tls = {0};
	struct stat st;
	int r;

	if (!*cert_path && !*key_path)
		return 0;
	if (!*cert_path || !*key_path)
		return ps_error_set(err, -EINVAL, 400, "bad_value", *cert_path ? "tls-key" : "tls-cert",
			"HTTPS takes a certificate and its key: give --tls-cert and --tls-key.");
	if (stat(key_path, &st) == 0 && st.st_mode & 07)
		return ps_error_set(err, -EPERM, 400, "tls_file", "tls-key",
			"Others may read the key in %s; mend it with: chmod o= %s", key_path, key_path);
	r = read_pem(cert_path, "tls-cert", &tls.cert, err);
	if (r == 0)
		r = read_pem(key_path, "tls-key", &tls.key, err);
	if (r < 0)
		return r;
	*ret_tls = tls;
	tls = (struct ps_tls){0}; /* theirs now; NOLINT(clang-analyzer-deadcode.DeadStores) */
	return 0;
}
