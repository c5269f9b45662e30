/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the records of logging handlers as `cat` shows them to people. The input is either such a
 * record's texts, which must be found again as they are, or any bytes in place of the record.
 * Whatever is shown: no line but the first can be taken for the beginning of another record, and
 * no control character reaches the terminal.
 *
 * Knows the tool's log_line. Changes with what a logging handler writes. */
#include "../../tools/duralog/log_line.h"
#include "plain.h"
#include "printed.h"
#include "require.h"

enum { TEXTS = 6, RECORD_MAX = 128 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- A handler's record ---- */

/* A text that the record has, in UTF-8. */
struct text {
    const uint8_t *bytes;
    size_t length;
};

static char record[RECORD_MAX];
static size_t record_length;

static void put(const char *text)
{
    while (*text != '\0')
        record[record_length++] = *text++;
}

/* Python escapes what it must and, unless told otherwise, all that is not ASCII. This escapes what
 * it must, now in one way and now in the other. */
static void put_string(struct text text)
{
    char escape[8];
    put("\"");
    for (size_t i = 0; i < text.length; i++) {
        uint8_t byte = text.bytes[i];
        if (byte == '\n' && i % 2 == 0)
            put("\\n");
        else if (byte < ' ' || byte == '"' || byte == '\\') {
            snprintf(escape, sizeof escape, "\\u%04x", byte);
            put(escape);
        } else
            record[record_length++] = (char)byte;
    }
    put("\"");
}

static void put_record(const struct text texts[TEXTS])
{
    static const char *const names[] = {
        "levelname\": ", "name\": ", "message\": ", "exc_text\": ", "stack_info\": "};
    record_length = 0;
    put("{\"duralog\": \"logging\", \"created\": 1764163469.123, \"extra\": {\"key\": ");
    put_string(texts[5]);
    put("}");
    for (int i = 0; i < 5; i++) {
        put(", \"");
        put(names[i]);
        put_string(texts[i]);
    }
    put("}");
}

/* Each text has its length before it, and is cut where it stops being UTF-8. */
static void take_texts(const uint8_t *data, size_t size, struct text texts[TEXTS])
{
    for (int i = 0; i < TEXTS; i++) {
        size_t length = size > 0 ? data[0] : 0;
        data += size > 0;
        size -= size > 0;
        length = length < size ? length : size;
        texts[i] = (struct text){data, plain_utf8_prefix(data, length)};
        data += length;
        size -= length;
    }
}

/* ---- What must hold ---- */

static bool is_same(struct log_text found, struct text put)
{
    return found.length == put.length &&
           (put.length == 0 || memcmp(found.bytes, put.bytes, put.length) == 0);
}

static void check_texts(const struct log_line *line, const struct text texts[TEXTS])
{
    require(line->created_ms == INT64_C(1764163469123), "the time is found");
    require(is_same(line->level, texts[0]) && is_same(line->logger, texts[1]) &&
                is_same(line->message, texts[2]) && is_same(line->exception, texts[3]) &&
                is_same(line->stack, texts[4]),
            "the texts are found");
    require(line->extra.length >= sizeof "{\"key\": \"\"}" - 1, "the extra is found");
}

/* Control characters are those below the blank, DEL, and U+0080 to U+009F, which terminals obey
 * as well. */
static void check_shown(const char *shown, size_t length)
{
    require(length > 0 && shown[length - 1] == '\n', "the last line ends");
    for (size_t i = 0; i + 1 < length; i++) {
        uint8_t byte = (uint8_t)shown[i];
        if (byte == '\n')
            require(length - i > 5 && memcmp(shown + i + 1, "    ", 4) == 0,
                    "each line but the first is indented");
        else
            require((byte >= ' ' && byte != 0x7f) || byte == '\t', "no control character is shown");
        require(byte != 0xC2 || (uint8_t)shown[i + 1] >= 0xA0, "nor one of the second kind");
    }
}

static void check_record(const char *bytes, size_t length, const struct text *texts)
{
    char *copy = malloc(length + 1), *scratch = malloc(length + 1);
    struct log_line line;
    struct printed shown;
    require(copy != NULL && scratch != NULL, "there is memory");
    memcpy(copy + 1, bytes, length);
    bool parsed = log_line_parse(copy + 1, length, scratch + 1, &line);
    require(texts == NULL || parsed, "a handler's record is one");
    require(!parsed || plain_is_json((const uint8_t *)bytes, length), "it is JSON");
    if (parsed && texts != NULL)
        check_texts(&line, texts);
    if (parsed) {
        printed_begin(&shown);
        log_line_print(&line);
        printed_end(&shown);
        check_shown(shown.bytes, shown.length);
        free(shown.bytes);
    }
    free(copy);
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text texts[TEXTS];
    if (size > 0 && data[0] == '{') {
        check_record((const char *)data, size, NULL);
        return 0;
    }
    take_texts(data, size, texts);
    put_record(texts);
    check_record(record, record_length, texts);
    return 0;
}
