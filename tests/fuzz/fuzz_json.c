/* SPDX-License-Identifier: MIT
 *
 * Fuzzes `cat --json` and `follow --json`: the first byte of the input is a record's type, the
 * others are the record. What is printed must be one line and one JSON object, and the record's
 * bytes must come back from it. What counts as JSON at all is held against a plain reading.
 *
 * Knows the tool's print_record and json, YAJL. Changes with what these commands print. */
#include "../../tools/duralog/json.h"
#include "../../tools/duralog/print_record.h"
#include "plain.h"
#include "printed.h"
#include "require.h"

#include <yajl/yajl_parse.h>

enum { LSN = 4096, DATA_MAX = 64 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- Reading a line back ---- */

struct object {
    char key[16];
    char type[16];
    uint8_t data[DATA_MAX];
    size_t data_length;
    bool has_lsn, invalid;
};

static int on_key(void *context, const unsigned char *key, size_t length)
{
    struct object *object = context;
    require(length < sizeof object->key, "the names are known");
    memcpy(object->key, key, length);
    object->key[length] = '\0';
    return 1;
}

static int on_string(void *context, const unsigned char *text, size_t length)
{
    struct object *object = context;
    bool is_type = strcmp(object->key, "type") == 0;
    require(is_type ? length < sizeof object->type : length <= DATA_MAX, "a string has its length");
    memcpy(is_type ? (uint8_t *)object->type : object->data, text, length);
    object->data_length = is_type ? 0 : length;
    return 1;
}

static int on_number(void *context, const char *digits, size_t length)
{
    struct object *object = context;
    object->has_lsn = strcmp(object->key, "lsn") == 0 && length == 4 && !memcmp(digits, "4096", 4);
    return 1;
}

static int on_boolean(void *context, int value)
{
    struct object *object = context;
    require(strcmp(object->key, "invalid") == 0 && value == 1, "it says what is invalid");
    object->invalid = true;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_map_key = on_key,
    .yajl_string = on_string,
    .yajl_number = on_number,
    .yajl_boolean = on_boolean,
};

static void read_back(const struct printed *line, struct object *object)
{
    yajl_handle handle = yajl_alloc(&callbacks, NULL, object);
    *object = (struct object){0};
    require(yajl_parse(handle, (const unsigned char *)line->bytes, line->length) ==
                    yajl_status_ok &&
                yajl_complete_parse(handle) == yajl_status_ok,
            "the line can be parsed");
    require(object->has_lsn, "the line has the LSN");
    yajl_free(handle);
}

/* ---- What must hold ---- */

static const char *type_name(uint32_t type)
{
    static char number[16];
    snprintf(number, sizeof number, "%u", type);
    return type == SHMWAL_BYTES  ? "bytes"
           : type == SHMWAL_TEXT ? "text"
           : type == SHMWAL_JSON ? "json"
                                 : number;
}

/* It stands there as it was, but for line breaks. */
static void check_value(const struct printed *line, const uint8_t *bytes, size_t length)
{
    static const char before[] = "{\"lsn\": 4096, \"type\": \"json\", \"data\": ";
    const char *value = line->bytes + sizeof before - 1;
    require(line->length == sizeof before - 1 + length + 2, "the line has the value and no more");
    require(memcmp(line->bytes, before, sizeof before - 1) == 0, "the line begins as it should");
    for (size_t i = 0; i < length; i++)
        require(value[i] == (char)(bytes[i] == '\n' || bytes[i] == '\r' ? ' ' : bytes[i]),
                "a value stands as it is");
}

static void check_string(const struct printed *line, uint32_t type, const uint8_t *bytes,
                         size_t length)
{
    static struct object object;
    static uint8_t decoded[DATA_MAX];
    bool is_text = type == SHMWAL_TEXT && plain_utf8_prefix(bytes, length) == length;
    read_back(line, &object);
    require(strcmp(object.type, type_name(type)) == 0, "the type is right");
    require(object.invalid == (!is_text && (type == SHMWAL_TEXT || type == SHMWAL_JSON)),
            "what is not what it claims to be is invalid");
    const uint8_t *back = is_text ? object.data : decoded;
    ssize_t back_length =
        is_text ? (ssize_t)object.data_length
                : plain_base64((const char *)object.data, object.data_length, decoded);
    require(back_length == (ssize_t)length && memcmp(back, bytes, length) == 0,
            "the bytes come back");
}

static void check_record(uint32_t type, const uint8_t *bytes, size_t length)
{
    struct printer printer = {.generator = json_generator()};
    shmwal_record record = {.data = bytes, .length = length, .lsn = LSN, .type = type};
    struct printed line;
    printed_begin(&line);
    require(print_record(&printer, &record), "it can be printed");
    printed_end(&line);
    require(memchr(line.bytes, '\n', line.length) == line.bytes + line.length - 1, "it is a line");
    require(plain_is_json((const uint8_t *)line.bytes, line.length), "it is JSON");
    if (type == SHMWAL_JSON && plain_is_json(bytes, length))
        check_value(&line, bytes, length);
    else
        check_string(&line, type, bytes, length);
    free(line.bytes);
    printer_close(&printer);
}

/* As a path or a segment's name is printed: it may be any bytes, and stays of its length. */
static void check_name(const uint8_t *bytes, size_t length)
{
    yajl_gen generator = json_generator();
    struct printed line;
    char *name = calloc(1, length + 1);
    require(name != NULL && generator != NULL, "there is memory");
    memcpy(name, bytes, length);
    printed_begin(&line);
    yajl_gen_array_open(generator);
    json_string(generator, name);
    yajl_gen_array_close(generator);
    json_end_line(generator);
    printed_end(&line);
    require(plain_is_json((const uint8_t *)line.bytes, line.length), "a name becomes JSON");
    free(line.bytes);
    free(name);
    yajl_gen_free(generator);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t *copy = malloc(size), *record = copy + 1; /* a step beyond it is seen */
    require(copy != NULL, "there is memory");
    memcpy(copy, data, size);
    require(json_valid(record, size - 1, NULL, 0) == plain_is_json(record, size - 1),
            "what is JSON is JSON");
    check_record(1 + data[0] % 4, record, size - 1);
    check_name(record, size - 1);
    free(copy);
    return 0;
}
