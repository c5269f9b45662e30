/* SPDX-License-Identifier: MIT
 *
 * Fuzzes what the command line knows of bytes: where they stop being UTF-8, and their base64. Each
 * is held against a plain reading of its standard, wherever within a word the bytes begin.
 *
 * Knows the tool's utf8 and base64. Changes with neither: the standards are fixed. */
#include "../../tools/duralog/base64.h"
#include "../../tools/duralog/utf8.h"
#include "plain.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of their own, so that a step beyond them is seen. */
static uint8_t *copy_of(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    require(copy != NULL, "there is memory");
    memcpy(copy + 1, data, size);
    return copy;
}

static void check_utf8(const uint8_t *bytes, size_t length)
{
    size_t prefix = plain_utf8_prefix(bytes, length);
    require(utf8_prefix(bytes, length) == prefix, "UTF-8 ends where it ends");
    require(utf8_valid(bytes, length) == (prefix == length), "all is UTF-8 or it is not");
}

static void check_base64(const uint8_t *bytes, size_t length)
{
    size_t text_length = base64_length(length);
    char *text = malloc(text_length + 1);
    uint8_t *back = malloc(text_length + 1);
    require(text != NULL && back != NULL, "there is memory");
    text[text_length] = '#';
    base64_encode(bytes, length, text);
    require(text[text_length] == '#', "nothing is written behind it");
    require(plain_base64(text, text_length, back) == (ssize_t)length, "base64 has all bytes");
    require(memcmp(back, bytes, length) == 0, "base64 has the same bytes");
    free(text);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = copy_of(data, size);
    for (size_t begin = 0; begin <= size && begin < sizeof(uint64_t); begin++) {
        check_utf8(copy + 1 + begin, size - begin);
        check_base64(copy + 1 + begin, size - begin);
    }
    free(copy);
    return 0;
}
