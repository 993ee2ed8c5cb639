/* Endpoints: what a person writes, the URL that is called, and what may not be called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ai-worker/endpoint.h"
#include "ai-worker/reach.h"
#include "common/base/cleanup.h"

static const struct {
	const char *text, *url, *origin;
	bool azure, own;
} good[] = {
	{"https://api.openai.com/v1/chat/completions", "https://api.openai.com:443/v1/chat/completions",
		"https://api.openai.com:443", false, false},
	{"https://api.openai.com", "https://api.openai.com:443/v1/chat/completions", "https://api.openai.com:443",
		false, false},
	{"https://api.openai.com/v1/", "https://api.openai.com:443/v1/chat/completions", "https://api.openai.com:443",
		false, false},
	{"https://API.DeepSeek.com/v1", "https://api.deepseek.com:443/v1/chat/completions",
		"https://api.deepseek.com:443", false, false},
	{"http://localhost:11434", "http://localhost:11434/v1/chat/completions", "http://localhost:11434", false, true},
	{"http://vllm:8000/v1", "http://vllm:8000/v1/chat/completions", "http://vllm:8000", false, true},
	{"http://10.1.2.3:8080/proxy/v1/chat/completions", "http://10.1.2.3:8080/proxy/v1/chat/completions",
		"http://10.1.2.3:8080", false, true},
	{"HTTP://[FD00::1]:8000/v1", "http://[fd00::1]:8000/v1/chat/completions", "http://[fd00::1]:8000", false, true},
	{"https://[2001:db8::1]", "https://[2001:db8::1]:443/v1/chat/completions", "https://[2001:db8::1]:443", false,
		false},
	{"https://llm.example/v1?tenant=a", "https://llm.example:443/v1/chat/completions?tenant=a",
		"https://llm.example:443", false, false},
	{"https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2023-05-15",
		"https://r.openai.azure.com:443/openai/deployments/d/chat/completions?api-version=2023-05-15",
		"https://r.openai.azure.com:443", true, false},
	{"https://r.openai.azure.com/openai/deployments/d?api-version=2024-06-01",
		"https://r.openai.azure.com:443/openai/deployments/d/chat/completions?api-version=2024-06-01",
		"https://r.openai.azure.com:443", true, false},
	{"https://r.openai.azure.com/openai/v1", "https://r.openai.azure.com:443/openai/v1/chat/completions",
		"https://r.openai.azure.com:443", true, false},
};

static void what_is_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(good); i++) {
		struct ps_llm_endpoint ep;
		struct ps_error err = {0};

		if (ps_endpoint_parse(good[i].text, &ep, &err) < 0)
			fail_msg("%s: %s", good[i].text, err.message);
		assert_string_equal(ep.url, good[i].url);
		assert_string_equal(ep.origin, good[i].origin);
		assert_int_equal(ep.azure, good[i].azure);
		assert_int_equal(ep.own, good[i].own);
	}
}

static void what_is_refused(void **state)
{
	static const char *const texts[] = {"", "api.openai.com", "ftp://host/v1", "file:///etc/passwd", "https://",
		"https:///v1", "http://user:pass@host/v1", "http://host@evil/v1", "http://host:0/",
		"http://host:65536/", "http://host:8a/", "http://host:/", "http://[::1/v1", "http://[host]/",
		"http://[::1]x/", "http://ho st/", "http://host/a\r\nX: y", "http://host/v1#part",
		"http://h\xc3\xb6st/", "http://host\\@evil/", "gopher://host",
		"https://r.openai.azure.com/openai/deployments/d/chat/completions", "https://r.openai.azure.com"};
	struct ps_llm_endpoint ep;
	char large[PS_ENDPOINT_TEXT + 10];

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(texts); i++) {
		struct ps_error err = {0};

		if (ps_endpoint_parse(texts[i], &ep, &err) != -EINVAL)
			fail_msg("\"%s\" was taken", texts[i]);
		assert_string_equal(err.field, "openai_endpoint");
		assert_int_equal(err.status, 400);
		assert_true(strlen(err.message) > 10);
	}
	(void)snprintf(large, sizeof(large), "http://host/%01020d", 0);
	assert_int_equal(ps_endpoint_parse(large, &ep, NULL), -EINVAL);
}

static int permitted(const char *text, const char *allow)
{
	struct ps_llm_endpoint ep;

	assert_int_equal(ps_endpoint_parse(text, &ep, NULL), 0);
	return ps_endpoint_permitted(&ep, allow, NULL);
}

static void what_is_allowed(void **state)
{
	const char *list = "api.openai.com, ollama:11434,[fd00::1]:8000,169.254.169.254";

	(void)state;
	assert_int_equal(permitted("https://anywhere.example/v1", ""), 0);
	assert_int_equal(permitted("http://169.254.169.254/latest", ""), -EPERM);
	assert_int_equal(permitted("http://[fe80::1]/", ""), -EPERM);
	assert_int_equal(permitted("http://[::ffff:169.254.169.254]/", ""), -EPERM);
	assert_int_equal(permitted("http://metadata.google.internal/", ""), -EPERM);
	assert_int_equal(permitted("http://0.0.0.0:11434/", ""), -EPERM);
	assert_int_equal(permitted("https://api.openai.com/v1", list), 0);
	assert_int_equal(permitted("https://api.openai.com:8443/v1", list), 0);
	assert_int_equal(permitted("http://ollama:11434", list), 0);
	assert_int_equal(permitted("http://ollama:11435", list), -EPERM);
	assert_int_equal(permitted("http://[fd00::1]:8000", list), 0);
	assert_int_equal(permitted("http://[fd00::1]:8001", list), -EPERM);
	assert_int_equal(permitted("http://169.254.169.254/latest", list), 0);
	assert_int_equal(permitted("https://api.openai.com.evil.example", list), -EPERM);
	assert_int_equal(permitted("https://evil.example", list), -EPERM);
}

static void addresses(void **state)
{
	static const struct {
		const char *text;
		bool refused, local;
	} cases[] = {
		{"192.0.2.1", false, false},
		{"127.0.0.1", false, true},
		{"10.255.0.1", false, true},
		{"172.31.255.255", false, true},
		{"172.32.0.1", false, false},
		{"192.168.1.1", false, true},
		{"100.64.0.1", false, true},
		{"::1", false, true},
		{"fd12::1", false, true},
		{"2001:db8::1", false, false},
		{"::ffff:10.0.0.1", false, true},
		{"169.254.0.1", true, false},
		{"169.255.0.1", false, false},
		{"fe80::1", true, false},
		{"febf::1", true, false},
		{"fec0::1", false, false},
		{"fd00:ec2::254", true, true},
		{"::ffff:169.254.169.254", true, false},
		{"64:ff9b::a9fe:a9fe", true, false},
		{"2002:a9fe:a9fe::1", true, false},
		{"2002:a00:1::1", false, true},
		{"100.100.100.200", true, true},
		{"168.63.129.16", true, false},
		{"0.1.2.3", true, false},
		{"::", true, false},
		{"224.0.0.1", true, false},
		{"255.255.255.255", true, false},
		{"ff02::1", true, false},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		struct ps_addr a;

		assert_int_equal(ps_addr_parse(cases[i].text, strlen(cases[i].text), &a), 0);
		if ((ps_reach_refusal(&a) != NULL) != cases[i].refused || ps_reach_local(&a) != cases[i].local)
			fail_msg("%s", cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_understood),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(what_is_allowed),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
