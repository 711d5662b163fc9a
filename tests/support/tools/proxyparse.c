/* tests/support/tools/proxyparse.c - reads a measurement list as attested-tls-proxy v1.1.1 does, by
 * the rules of its parser (crate attestation, 4ebc037), written anew for tests. Never installed.
 *
 *   proxyparse <BODY     exit 0 and one line a record (`TYPE N`, N registers, or `TYPE any`), exit
 * 1 and the reason when that proxy would not start proxyparse -j <BODY  exit 0 when the body is any
 * JSON document at all
 *
 * Rules: the document is an array; attestation_type is none, gcp-tdx, azure-tdx, qemu-tdx or
 * dcap-tdx; a register's name is a decimal number; its value has exactly one of `expected` and
 * `expected_any`; a list is not empty; values are hex, 48 bytes for DCAP and 32 for Azure. */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void refuse(const char *what)
{
    (void)printf("refused: %s\n", what);
    exit(1);
}

static void value_ok(const json_t *value, size_t bytes)
{
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) != 2 * bytes ||
        strspn(text, "0123456789abcdefABCDEF") != 2 * bytes)
        refuse("a value is not hex of the right length");
}

static void register_ok(const char *name, const json_t *reg, size_t bytes, unsigned long last)
{
    char *end = NULL;
    unsigned long index = strtoul(name, &end, 10);
    const json_t *one = json_object_get(reg, "expected"),
                 *any = json_object_get(reg, "expected_any");

    if (name[0] < '0' || name[0] > '9' || *end != '\0' || index > last)
        refuse("the name of a register");
    if (!json_is_object(reg) || (one == NULL) == (any == NULL))
        refuse("not exactly one of expected and expected_any");
    if (one != NULL)
        value_ok(one, bytes);
    if (any != NULL && (!json_is_array(any) || json_array_size(any) == 0))
        refuse("expected_any is no list, or empty");
    for (size_t i = 0; any != NULL && i < json_array_size(any); i++)
        value_ok(json_array_get(any, i), bytes);
}

static void record_ok(const json_t *record)
{
    static const char *const types[] = {"azure-tdx", "dcap-tdx", "gcp-tdx", "qemu-tdx", "none"};
    const char *type = json_string_value(json_object_get(record, "attestation_type"));
    json_t *registers = json_object_get(record, "measurements");
    const char *name;
    json_t *reg;
    bool known = false;

    for (size_t i = 0; type != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        known = known || strcmp(type, types[i]) == 0;
    if (!known)
        refuse("attestation_type");
    if (registers == NULL) {
        (void)printf("%s any\n", type);
        return;
    }
    if (!json_is_object(registers))
        refuse("measurements is no object");
    bool azure = strcmp(type, "azure-tdx") == 0;
    json_object_foreach(registers, name, reg)
        register_ok(name, reg, azure ? 32 : 48, azure ? 23 : 4);
    (void)printf("%s %zu\n", type, json_object_size(registers));
}

int main(int argc, char **argv)
{
    bool json_only = argc == 2 && strcmp(argv[1], "-j") == 0;
    json_t *root = json_loadf(stdin, json_only ? JSON_DECODE_ANY : 0, NULL);

    if (root == NULL)
        refuse("no JSON");
    if (json_only)
        return 0;
    if (!json_is_array(root))
        refuse("no array");
    for (size_t i = 0; i < json_array_size(root); i++)
        record_ok(json_array_get(root, i));
    json_decref(root);
    return 0;
}
