/* cli/lint_gate.c - lint before publishing. */
#include "cli/lint_gate.h"

struct gate {
    const struct cli *cli;
    const char *name, *force;
    bool refused;
};

const char *lint_grade_name(enum rec_grade grade)
{
    switch (grade) {
    case REC_GRADE_INFO:
        return "info";
    case REC_GRADE_WARNING:
        return "warning";
    case REC_GRADE_ERROR:
        return "error";
    }
    return "error";
}

/* The next of a list between commas. */
static struct ms_span next(struct ms_span *rest)
{
    struct ms_span one = *rest, behind = {0};

    (void)ms_span_cut(*rest, ',', &one, &behind);
    *rest = behind;
    return one;
}

static bool forced(const struct gate *gate, const char *rule)
{
    struct ms_span rest = ms_span_str(gate->force);

    while (rest.len > 0)
        if (ms_span_eq_str(next(&rest), rule))
            return true;
    return false;
}

/* "L" and three digits: a rule of tomorrow is one as well. */
static bool names_rules(const struct cli *cli, const char *force)
{
    struct ms_span rest = ms_span_str(force);

    if (force != NULL && rest.len == 0) {
        cli_say(cli, "--force needs the name of a rule, such as L006");
        return false;
    }
    while (rest.len > 0) {
        struct ms_span one = next(&rest);
        bool ok = one.len == 4 && one.ptr[0] == 'L';
        for (size_t i = 1; ok && i < one.len; i++)
            ok = one.ptr[i] >= '0' && one.ptr[i] <= '9';
        if (!ok) {
            cli_say(cli, "--force %s: not the name of a rule, such as L006", force);
            return false;
        }
    }
    return true;
}

static void tell(const struct rec_finding *finding, void *arg)
{
    struct gate *gate = arg;
    bool is_error = finding->grade == REC_GRADE_ERROR;
    bool pass = is_error && forced(gate, finding->rule);

    cli_say(gate->cli, "%.80s: %s %s%s: %s%s%s", gate->name, finding->rule,
            lint_grade_name(finding->grade), pass ? ", forced" : "", finding->record,
            finding->record[0] == '\0' ? "" : ": ", finding->text);
    gate->refused = gate->refused || (is_error && !pass);
}

int lint_gate(const struct cli *cli, const char *name, struct ms_span document, const char *force)
{
    struct gate gate = {.cli = cli, .name = name, .force = force};

    if (!names_rules(cli, force))
        return CLI_USAGE;
    bool found = rec_lint(document, tell, &gate);
    if (!gate.refused) {
        if (found)
            cli_say(cli, "%.80s: published by force; measured will refuse to serve it", name);
        return CLI_YES;
    }
    cli_say(cli, "%.80s: not published; correct it, or --force the rule by its name", name);
    return CLI_NO;
}
