/*
 * Runs a fuzz target without libFuzzer: every file of the given directory, then mutations of them, always the same
 * ones.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

#define INPUT_MAX 4096
#define INPUTS_MAX 64
#define MUTATIONS 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct input {
	size_t len;
	uint8_t data[INPUT_MAX];
};

static struct input inputs[INPUTS_MAX];

/* The target gets memory of exactly this length, so that the sanitizer sees a step beyond it. */
static void try_input(const uint8_t *data, size_t len)
{
	_cleanup_free_ uint8_t *exact = malloc(len ? len : 1);

	if (!exact)
		abort();
	memcpy(exact, data, len);
	(void)LLVMFuzzerTestOneInput(exact, len);
}

static void mutate(struct input *in, const struct input *other)
{
	size_t at = in->len ? (size_t)random() % in->len : 0, n = (size_t)random() % 16;

	switch (random() % 6) {
	case 0:
		in->data[at] ^= (uint8_t)(1 << random() % 8);
		break;
	case 1:
		in->data[at] = (uint8_t)random();
		break;
	case 2: /* cut off */
		in->len = at;
		break;
	case 3: /* take some bytes out */
		n = PS_MIN(n, in->len - at);
		memmove(in->data + at, in->data + at + n, in->len - at - n);
		in->len -= n;
		break;
	case 4: /* put some bytes in twice */
		n = PS_MIN(n, PS_MIN(in->len - at, INPUT_MAX - in->len));
		memmove(in->data + at + n, in->data + at, in->len - at);
		in->len += n;
		break;
	default: /* go on with another */
		n = PS_MIN(other->len, INPUT_MAX - at);
		memcpy(in->data + at, other->data + other->len - n, n);
		in->len = at + n;
		break;
	}
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	size_t n = 0;
	DIR *dir;

	if (argc != 2)
		return 2;
	dir = opendir(argv[1]);
	if (!dir) {
		perror(argv[1]);
		return 2;
	}
	while (n < INPUTS_MAX && (entry = readdir(dir))) {
		_cleanup_fclose_ FILE *f = NULL;
		char path[4096];

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		inputs[n].len = fread(inputs[n].data, 1, INPUT_MAX, f);
		try_input(inputs[n].data, inputs[n].len);
		n++;
	}
	(void)closedir(dir);
	if (!n) {
		(void)fprintf(stderr, "%s has no inputs\n", argv[1]);
		return 2;
	}
	srandom(1);
	for (int i = 0; i < MUTATIONS; i++) {
		struct input in = inputs[(size_t)random() % n];

		for (long k = random() % 8; k >= 0; k--)
			mutate(&in, &inputs[(size_t)random() % n]);
		try_input(in.data, in.len);
	}
	(void)printf("%zu inputs and %d mutations\n", n, MUTATIONS);
	return 0;
}
