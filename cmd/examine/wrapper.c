#include "wrapper.h"

#include "basename.h"

#include <stdbool.h>
#include <string.h>

/* The options of GNU coreutils, findutils and time, and util-linux. None reads an option after its first operand. */
static const struct wrapper {
    const char *name;
    const char *valued; /* the letters that take a value, in the same word or the next */
    const char *attached; /* those whose value, if any, is in the same word */
    const char *nothing; /* those with which no command is started */
    const char *long_valued; /* long options that take a value; a blank after each */
    const char *long_nothing;
    unsigned operands; /* before the command */
    const char *root; /* the option, a letter and a name, whose value is a new root directory; "1": the first operand is one */
} wrappers[] = {
    {"nice", "n", "", "", "adjustment ", "", 0, NULL},
    {"proxychains4", "f", "", "", "", "", 0, NULL},
    {"nohup", "", "", "", "", "", 0, NULL},
    {"timeout", "ks", "", "", "kill-after signal ", "", 1, NULL},
    {"setsid", "", "", "", "", "", 0, NULL},
    {"stdbuf", "ioe", "", "", "input output error ", "", 0, NULL},
    {"ionice", "cn", "", "pPu", "class classdata ", "pid pgid uid ", 0, NULL},
    {"chrt", "TPD", "", "pm", "sched-runtime sched-period sched-deadline ", "pid max ", 1, NULL},
    {"time", "fo", "", "", "format output ", "", 0, NULL},
    {"taskset", "", "", "p", "", "pid ", 1, NULL},
    {"xargs", "aEILnPsd", "eil", "", "arg-file delimiter max-args max-chars max-procs process-slot-var ", "", 0, NULL},
    {"setpriv", "", "", "d",
        "reuid regid ruid rgid euid egid groups inh-caps ambient-caps bounding-set securebits pdeathsig selinux-label apparmor-profile ", "dump list-caps ", 0, NULL},
    {"unshare", "SGwR", "", "", "wd setuid setgid map-user map-group map-users map-groups propagation setgroups monotonic boottime root ", "", 0, "R root"},
    {"nsenter", "tSG", "muinpUCTrw", "", "target setuid setgid ", "", 0, "r root"},
    {"chroot", "", "", "", "groups userspec ", "", 1, "1"},
    {"sudo", "ugCDhpRrtTU", "", "lvkKVe", "user group close-from chdir host prompt chroot role type command-timeout other-user ", "list validate edit reset-timestamp ", 0,
        "R chroot"},
    {"doas", "uC", "", "Ls", "", "", 0, NULL},
    {"runuser", "uwgG", "", "", "user whitelist-environment group supp-group ", "", 0, NULL},
    {"start-stop-daemon", "", "", "", "", "", 0, NULL},
    {"systemd-run", "pMHuEGtrqdPSC", "", "", "", "", 0, NULL},
};

/* Programs that have another one start the command. */
static const struct {
    const char *name;
    const char *word; /* the first argument without a dash; NULL: any */
    const char *reason;
    const char *next;
} elsewhere[] = {
    {"systemctl", NULL, "the service manager starts services, with an environment of its own",
        "put the variables into the unit: packaging/systemd/pinshim.conf is a drop-in for it, see docs/fleet.md"},
    {"service", NULL, "the service manager starts services, with an environment of its own",
        "put the variables into the unit: packaging/systemd/pinshim.conf is a drop-in for it, see docs/fleet.md"},
    {"flatpak", "run", "the program runs in a sandbox, with a root directory in which the shim is missing", "use a build of it outside of the sandbox"},
    {"snap", "run", "the program runs in a sandbox, with a root directory in which the shim is missing", "use a build of it outside of the sandbox"},
    {"docker", NULL, "the program runs in a container, which the daemon starts with an environment and a root directory of its own",
        "put the shim into the image: packaging/container, see docs/fleet.md"},
    {"podman", NULL, "the program runs in a container, with an environment and a root directory of its own",
        "put the shim into the image: packaging/container, see docs/fleet.md"},
    {"at", NULL, "a daemon starts the command later", "put \"pinshim run -q\" before each command of the job"},
    {"batch", NULL, "a daemon starts the command later", "put \"pinshim run -q\" before each command of the job"},
    {"crontab", NULL, "a daemon starts the commands later", "put \"pinshim run -q\" before each command of the table"},
};

/* Return true if `word` is, or begins as, one of the names. */
static bool is_among(const char *word, size_t length, const char *names)
{
    for (const char *at = names; *at != '\0'; at += strcspn(at, " ") + 1) {
        if (length > 0 && length <= strcspn(at, " ") && strncmp(at, word, length) == 0)
            return true;
    }
    return false;
}

/* Read an option. Return how many words it takes, 0 where no command is started with it. */
static size_t read_option(const struct wrapper *wrapper, const char *word)
{
    size_t length = strcspn(word + 2, "=");

    if (strncmp(word, "--", 2) == 0) {
        if (is_among(word + 2, length, wrapper->long_nothing) || is_among(word + 2, length, "help version "))
            return 0;
        return word[2 + length] == '\0' && is_among(word + 2, length, wrapper->long_valued) ? 2 : 1;
    }
    for (word++; *word != '\0'; word++) {
        if (strchr(wrapper->nothing, *word) != NULL)
            return 0;
        if (strchr(wrapper->attached, *word) != NULL)
            return 1;
        if (strchr(wrapper->valued, *word) != NULL)
            return word[1] != '\0' ? 1 : 2;
    }
    return 1;
}

static bool begins(const char *word, const char *start)
{
    while (*start != '\0' && *word == *start) {
        word++;
        start++;
    }
    return *start == '\0';
}

/* The value of an option, at argv[i]: `names` are its letter and its name. NULL: it is another one. */
static const char *value_of(const char *names, char *const *argv, size_t count, size_t i)
{
    const char *word = argv[i];
    size_t length = strlen(names + 2);

    if (word[1] == names[0] && word[2] != '\0')
        return word + 2 + (word[2] == '=');
    if (word[1] == names[0])
        return i + 1 < count ? argv[i + 1] : NULL;
    if (!begins(word, "--") || !begins(word + 2, names + 2))
        return NULL;
    return word[2 + length] == '=' ? word + 3 + length : word[2 + length] == '\0' && i + 1 < count ? argv[i + 1] : NULL;
}

static const char *find_value(const char *names, char *const *argv, size_t count)
{
    const char *value = NULL;

    for (size_t i = 1; value == NULL && i < count && argv[i] != NULL && strcmp(argv[i], "--") != 0; i++)
        value = argv[i][0] == '-' ? value_of(names, argv, count, i) : NULL;
    return value;
}

static bool has_option(const char *option, char *const *argv, size_t count)
{
    for (size_t i = 1; i < count && argv[i] != NULL && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], option) == 0)
            return true;
    }
    return false;
}

/* su and runuser without -u: [OPTION...] [-] [USER [ARGUMENT...]], of which -c is for the user's shell. */
static bool read_su(char *const *argv, size_t count, struct wrapped *out)
{
    out->kind = WRAPPER_SHELL;
    for (size_t i = 1; i < count && out->command == 0; i++) {
        if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--command") == 0)
            out->command = i + 1 < count ? i + 1 : 0;
        else if (strncmp(argv[i], "--command=", 10) == 0)
            out->command = i;
    }
    return true;
}

/* It starts what --startas or --exec names, with the arguments behind "--". */
static bool read_daemon(char *const *argv, size_t count, struct wrapped *out)
{
    static const char *const names[] = {"a startas", "x exec"};

    if (!has_option("-S", argv, count) && !has_option("--start", argv, count))
        return false;
    out->root = find_value("r chroot", argv, count);
    out->kind = out->root != NULL ? WRAPPER_ROOT : WRAPPER_PLAIN;
    for (size_t k = 0; k < 2 && out->command == 0; k++) {
        const char *value = find_value(names[k], argv, count);

        for (size_t i = 1; value != NULL && i < count && out->command == 0; i++)
            out->command = argv[i] == value ? i : 0;
    }
    return out->command != 0;
}

/* Return true if one of bwrap's mounts has the file at the same path. The command is what follows the options, whose number of values differs. */
static bool read_bwrap(char *const *argv, size_t count, struct wrapped *out)
{
    static const char *const two[] = {"bind", "bind-try", "ro-bind", "ro-bind-try", "dev-bind", "dev-bind-try", "symlink", "setenv", "file", "bind-data",
        "ro-bind-data", "chmod"};
    static const char *const none[] = {"unshare-all", "share-net", "unshare-user", "unshare-user-try", "unshare-ipc", "unshare-pid", "unshare-net", "unshare-uts",
        "unshare-cgroup", "unshare-cgroup-try", "clearenv", "new-session", "die-with-parent", "as-pid-1", "disable-userns", "assert-userns-disabled"};
    size_t i = 1;

    out->kind = WRAPPER_ROOT;
    while (i < count && strncmp(argv[i], "--", 2) == 0 && argv[i][2] != '\0') {
        size_t values = 1;

        for (size_t k = 0; k < sizeof(two) / sizeof(two[0]); k++)
            values = strcmp(argv[i] + 2, two[k]) == 0 ? 2 : values;
        for (size_t k = 0; k < sizeof(none) / sizeof(none[0]); k++)
            values = strcmp(argv[i] + 2, none[k]) == 0 ? 0 : values;
        /* The root as it is. */
        if (values == 2 && i + 2 < count && strcmp(argv[i + 1], "/") == 0 && strcmp(argv[i + 2], "/") == 0)
            out->kind = WRAPPER_PLAIN;
        i += 1 + values;
    }
    out->command = i < count ? i + (strcmp(argv[i], "--") == 0) : count;
    return out->command < count;
}

static bool read_elsewhere(const char *name, char *const *argv, size_t count, struct wrapped *out)
{
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        size_t first = 1;

        while (first < count && argv[first][0] == '-')
            first++;
        if (strcmp(name, elsewhere[i].name) != 0
            || (elsewhere[i].word != NULL && (first == count || strcmp(argv[first], elsewhere[i].word) != 0)))
            continue;
        *out = (struct wrapped) {.name = elsewhere[i].name, .kind = WRAPPER_ELSEWHERE, .reason = elsewhere[i].reason, .next = elsewhere[i].next};
        return true;
    }
    return false;
}

/* Skip the wrapper's options. Return false if it starts nothing with these. */
static bool skip_options(const struct wrapper *wrapper, char *const *argv, size_t count, size_t *at)
{
    while (*at < count && argv[*at][0] == '-' && argv[*at][1] != '\0' && strcmp(argv[*at], "--") != 0) {
        size_t words = read_option(wrapper, argv[*at]);

        if (words == 0)
            return false;
        *at += words;
    }
    *at += *at < count && strcmp(argv[*at], "--") == 0;
    return true;
}

bool wrapper_read(const char *path, char *const *argv, size_t count, struct wrapped *out)
{
    const struct wrapper *wrapper = wrappers;
    const struct wrapper *end = wrappers + sizeof(wrappers) / sizeof(wrappers[0]);
    const char *name = program_base(path);
    size_t i = 1;

    *out = (struct wrapped) {.name = "bwrap"};
    if (strcmp(name, "bwrap") == 0)
        return read_bwrap(argv, count, out);
    out->name = "mptcpize";
    out->command = 2 + (count > 2 && strcmp(argv[2], "-d") == 0);
    if (strcmp(name, "mptcpize") == 0)
        return count > out->command && strcmp(argv[1], "run") == 0;
    out->command = 0;
    out->name = "su";
    if (strcmp(name, "su") == 0)
        return read_su(argv, count, out);
    if (read_elsewhere(name, argv, count, out))
        return true;
    while (wrapper < end && strcmp(name, wrapper->name) != 0)
        wrapper++;
    if (wrapper == end)
        return false;
    out->name = wrapper->name;
    if (strcmp(name, "runuser") == 0 && find_value("u user", argv, count) == NULL)
        return read_su(argv, count, out);
    if (strcmp(name, "start-stop-daemon") == 0)
        return read_daemon(argv, count, out);
    if (!skip_options(wrapper, argv, count, &i))
        return false;
    /* Variables that sudo sets. */
    while (strcmp(name, "sudo") == 0 && i < count && strchr(argv[i], '=') != NULL)
        i++;
    if (wrapper->root != NULL && wrapper->root[0] != '1' && (out->root = find_value(wrapper->root, argv, i)) != NULL)
        out->kind = WRAPPER_ROOT;
    if (wrapper->root != NULL && wrapper->root[0] == '1' && i < count) {
        out->kind = WRAPPER_ROOT;
        out->root = argv[i];
    }
    /* nsenter without a directory takes that of the other process. */
    if (strcmp(name, "nsenter") == 0 && (has_option("-r", argv, i) || has_option("--root", argv, i) || has_option("-a", argv, i) || has_option("--all", argv, i)
        || has_option("-m", argv, i) || has_option("--mount", argv, i))) {
        out->kind = WRAPPER_ROOT;
        out->root = NULL;
    }
    /* Some policies of chrt can do without a priority. */
    if (wrapper->operands > 0 && i < count && (strcmp(wrapper->name, "chrt") != 0 || strspn(argv[i], "0123456789") == strlen(argv[i])))
        i += wrapper->operands;
    out->command = i;
    if (strcmp(name, "systemd-run") == 0 && !has_option("--scope", argv, i)) {
        out->kind = WRAPPER_ELSEWHERE;
        out->reason = "the service manager starts the command, with an environment of its own";
    }
    return i < count;
}
