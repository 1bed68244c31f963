#include "examine.h"

#include "libraries.h"
#include "output.h"
#include "preload.h"
#include "tls_library.h"

#include <elf.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The TLS libraries that are nearest to the program in its dependency graph. */
struct survey {
    struct examination *out;
    const struct found *judged; /* OpenSSL or GnuTLS */
    unsigned judged_depth;
    const char *unusable; /* the function that this OpenSSL lacks */
    const struct found *also; /* the nearest judged one of another name */
    unsigned also_depth;
    const struct found *other;
    unsigned other_depth;
    bool other_is_openssl; /* linked into an object */
    const char *other_lacks; /* a function that it would have to export */
    const struct found *unseen; /* what makes its system calls itself */
    unsigned unseen_depth;
    bool process; /* it runs: what is loaded later is loaded now */
};

static char *format(const char *form, ...) PRINTF_LIKE(1, 2);

static char *format(const char *form, ...)
{
    char buffer[2 * PATH_MAX];
    struct text text = text_over(buffer, sizeof(buffer));
    va_list args;

    va_start(args, form);
    text_add_va(&text, form, args);
    va_end(args);
    return output_copy(buffer);
}

/* The verdict; takes `reason` and `next`. */
static void decide(struct examination *out, enum hold hold, const char *code, char *reason, char *next)
{
    free(out->condition);
    free(out->reason);
    free(out->next);
    out->hold = hold;
    out->code = code;
    out->condition = NULL;
    out->reason = reason;
    out->next = next;
}

/* The same, if something is so besides; takes `condition`, too. */
static void decide_if(struct examination *out, enum hold hold, const char *code, char *condition, char *reason, char *next)
{
    decide(out, hold, code, reason, next);
    out->condition = condition;
}

/* Add to the condition; takes `more`. */
static void add_condition(struct examination *out, char *more)
{
    char *before = out->condition;

    out->condition = before != NULL ? format("%s, and %s", before, more) : output_copy(more);
    free(before);
    free(more);
}

static bool is_set_to(const char *variable, const char *value)
{
    const char *now = getenv(variable);

    return now != NULL && strcmp(now, value) == 0;
}

/* The guard does nothing. */
static bool is_unguarded(void)
{
    return is_set_to("PINSHIM_UNJUDGED", "allow");
}

/* What the guard does. */
static const char *guarded_how(void)
{
    return is_set_to("PINSHIM_UNJUDGED", "report") || is_set_to("PINSHIM_MODE", "report") ? "only reported" : "refused";
}

static const char *spaced(const char *text)
{
    return text != NULL ? text : "";
}

/* Append "OpenSSL 3.0.19 (libssl.so.3, through libcurl.so.4)". */
static void describe(const struct found *found, struct text *out)
{
    text_add(out, "%s%s%s", found->name, found->version != NULL ? " " : "", spaced(found->version));
    if (strcmp(found->how, "inside") == 0 && found->through == NULL)
        return;
    text_add(out, " (%s", program_base(found->path));
    if (found->through != NULL)
        text_add(out, ", through %s", found->through);
    text_add(out, ")");
}

static char *described(const struct found *found)
{
    char buffer[PATH_MAX];
    struct text text = text_over(buffer, sizeof(buffer));

    describe(found, &text);
    return output_copy(buffer);
}

/* Note a TLS library and say where it was seen. */
static const struct found *note(struct examination *out, const struct tls *tls, const char *path, const char *through, const char *how)
{
    struct found **end = &out->found;
    struct found *found = output_allocate(NULL, sizeof(*found));

    *found = (struct found) {.name = tls->name, .how = how, .path = output_copy(path)};
    if (tls->version[0] != '\0')
        found->version = output_copy(tls->version);
    if (through != NULL && through[0] != '\0')
        found->through = output_copy(through);
    if (tls->crypto != NULL)
        found->crypto = output_copy(tls->crypto->path);
    while (*end != NULL)
        end = &(*end)->next;
    *end = found;
    seen_add(&out->seen, "tls", "%s%s%s: %s%s%s%s%s%s", found->name, found->version != NULL ? " " : "", spaced(found->version), path,
        strcmp(how, "inside") == 0       ? " has it linked in"
            : strcmp(how, "later") == 0  ? ", loaded later"
            : strcmp(how, "mapped") == 0 ? ", loaded now"
                                         : ", loaded at start",
        found->through != NULL ? ", through " : "", spaced(found->through), found->crypto != NULL ? ", with the libcrypto within " : "",
        spaced(found->crypto));
    return found;
}

/* Append the libraries that lead to this one, beginning with the one that the program needs. */
static void add_way(const struct library *library, const char *root, struct text *out)
{
    const struct library *by = library->by;

    if (by == NULL || by->by == NULL) {
        if (root != NULL && by != NULL)
            text_add(out, "%s", root);
        return;
    }
    add_way(by, root, out);
    text_add(out, "%s%s", out->length > 0 ? ", " : "", library_name(by));
}

/* Look at every library. `root` NULL: they are a program's. Otherwise they are those of an object of that name that the program loads
 * later, and count as if the program needed that object. */
static void survey_libraries(const struct libraries *libraries, const char *root, struct survey *survey)
{
    for (const struct library *library = libraries->first; library != NULL; library = library->next) {
        struct tls tls = tls_of(libraries, library, root == NULL && library->depth == 0);
        unsigned depth = library->depth + (root != NULL ? 1 : 0);
        char buffer[PATH_MAX];
        struct text way = text_over(buffer, sizeof(buffer));
        const struct found *found;
        bool usable = tls.kind == TLS_OPENSSL || tls.kind == TLS_GNUTLS || tls.kind == TLS_UNUSABLE;
        bool inside = tls.inside || tls.kind == TLS_UNSEEN || (library->depth == 0 && tls.kind == TLS_OTHER);

        if (tls.kind == TLS_NONE)
            continue;
        add_way(library, root, &way);
        /* Another TLS library is either a file of that name, or code linked into this object. */
        found = note(survey->out, &tls, library->path, buffer,
            inside                ? "inside"
                : survey->process ? "mapped"
                : root != NULL    ? "later"
                                  : "linked");
        if (tls.kind == TLS_UNSEEN) {
            if (survey->unseen == NULL || depth < survey->unseen_depth) {
                survey->unseen = found;
                survey->unseen_depth = depth;
            }
            continue;
        }
        if (usable && (survey->judged == NULL || depth < survey->judged_depth)) {
            if (survey->judged != NULL && survey->unusable == NULL && strcmp(survey->judged->name, found->name) != 0) {
                survey->also = survey->judged;
                survey->also_depth = survey->judged_depth;
            }
            survey->judged = found;
            survey->judged_depth = depth;
            survey->unusable = tls.lacks;
        } else if (usable && tls.lacks == NULL && strcmp(survey->judged->name, found->name) != 0
            && (survey->also == NULL || depth < survey->also_depth)) {
            survey->also = found;
            survey->also_depth = depth;
        }
        if (!usable && (survey->other == NULL || depth < survey->other_depth)) {
            survey->other = found;
            survey->other_depth = depth;
            survey->other_is_openssl = tls.kind == TLS_INSIDE;
            survey->other_lacks = tls.lacks;
        }
    }
}

/* Look for an object that a language's runtime, or a server, loads when TLS is wanted. */
static void survey_plugins(const char *program, const struct libraries *of_program, struct survey *survey)
{
    static const struct {
        const char *runtime; /* how its file name begins */
        const char *pattern; /* below the directory that its bin/ is in; %s: its file name; %v: the version in that */
    } plugins[] = {
        {"python", "lib/%s/lib-dynload/_ssl.*.so"},
        {"pypy", "lib/%s/_ssl*.so"},
        {"ruby", "lib/*/ruby/%v*/openssl.so"},
        {"ruby", "lib/ruby/%v*/*/openssl.so"},
        {"perl", "lib/*/perl5/*/auto/Net/SSLeay/SSLeay.so"},
        {"perl", "local/lib/*/perl/*/auto/Net/SSLeay/SSLeay.so"},
        {"perl", "lib/perl5/*/*/auto/Net/SSLeay/SSLeay.so"},
        {"perl", "lib/perl5/*/auto/Net/SSLeay/SSLeay.so"}, /* Alpine; likewise below */
        {"php", "lib/php*/modules/openssl.so"},
        {"php", "lib/php*/modules/curl.so"},
        {"lua", "lib/lua/%v*/ssl.so"},
        {"httpd", "lib/apache2/mod_ssl.so"},
        {"php", "lib/php/*/openssl.so"},
        {"php", "lib/php/*/curl.so"},
        {"lua", "lib/*/lua/%v*/ssl.so"},
        {"tclsh", "lib/tcltk/*/tcltls*/*tcltls*.so"},
        {"wish", "lib/tcltk/*/tcltls*/*tcltls*.so"},
        {"apache2", "lib/apache2/modules/mod_ssl.so"},
        {"httpd", "lib64/httpd/modules/mod_ssl.so"},
    };
    const char *name = program_base(program);
    char last[PATH_MAX] = "";

    for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++) {
        char pattern[2 * PATH_MAX];
        struct text text = text_over(pattern, sizeof(pattern));
        glob_t paths;

        if (strncmp(name, plugins[i].runtime, strlen(plugins[i].runtime)) != 0)
            continue;
        text_add(&text, "%.*s../", (int)(name - program), program);
        for (const char *at = plugins[i].pattern; *at != '\0'; at++) {
            if (at[0] == '%' && at[1] == 's')
                text_add(&text, "%s", name);
            else if (at[0] == '%' && at[1] == 'v')
                text_add(&text, "%s", name + strcspn(name, "0123456789"));
            else if (at == plugins[i].pattern || at[-1] != '%')
                text_add(&text, "%c", *at);
        }
        if (glob(pattern, 0, NULL, &paths) != 0)
            continue;
        for (size_t k = 0; k < paths.gl_pathc; k++) {
            char *path = realpath(paths.gl_pathv[k], NULL);
            struct libraries *libraries = path != NULL && strcmp(path, last) != 0 ? libraries_of(path, of_program) : NULL;

            if (libraries != NULL) {
                seen_add(&survey->out->seen, "plugin", "%s loads %s when TLS is wanted", name, path);
                survey_libraries(libraries, program_base(path), survey);
                text = text_over(last, sizeof(last));
                text_add(&text, "%s", path);
            }
            libraries_free(libraries);
            free(path);
        }
        globfree(&paths);
    }
}

/* Runtimes with a TLS library of their own, which cannot be interposed. */
static const char *own_tls(const char *name)
{
    static const char *const own[][2] = {
        {"java", "Java's own (JSSE)"}, {"beam.smp", "Erlang's own (ssl)"}, {"mono", "BoringSSL (btls)"}};

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (strcmp(name, own[i][0]) == 0)
            return own[i][1];
    }
    return NULL;
}

/* A libssl that is named among the strings of the program or of a library is loaded later. */
static const struct library *names_libssl(const struct libraries *libraries)
{
    for (const struct library *library = libraries->first; library != NULL; library = library->next) {
        if (tls_is_named(&library->elf) || strncmp(library_name(library), "libQt5Network.so", 16) == 0
            || strncmp(library_name(library), "libQt6Network.so", 16) == 0)
            return library;
    }
    return NULL;
}

static bool is_shell(const char *name)
{
    static const char *const shells[] = {"sh", "dash", "bash", "zsh", "ksh", "mksh", "fish", "tcsh", "csh", "rbash"};

    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(name, shells[i]) == 0)
            return true;
    }
    return false;
}

/* No TLS library was found. */
static void decide_without(struct examination *out, const struct libraries *libraries)
{
    const char *name = program_base(out->program.path);
    const struct library *naming = names_libssl(libraries);

    if (naming != NULL) {
        seen_add(&out->seen, "later", "%s can load a libssl later", naming->path);
        decide(out, HOLD_JUDGED, "later", format("it loads OpenSSL later: %s contains the name of a libssl", library_name(naming)), NULL);
        return;
    }
    if (is_shell(name)) {
        decide_if(out, HOLD_JUDGED, "starts-others", output_copy("the programs that it starts are"),
            output_copy("a shell itself does no TLS, and its children inherit the shim"),
            output_copy("run \"pinshim doctor\" on the programs that it starts"));
        return;
    }
    if (libraries_find(libraries, "libcrypto.so") != NULL)
        seen_add(&out->seen, "note", "it uses OpenSSL's cryptography (libcrypto), not its TLS (libssl)");
    decide_if(out, HOLD_JUDGED, "no-tls", output_copy("the libraries that it loads later, and the programs that it starts, do TLS with OpenSSL or GnuTLS"),
        output_copy("it has no TLS library itself"), NULL);
}

/* Name what is judged or guarded beside what the verdict is about. */
static char *beside(const struct found *found, const char *how)
{
    char *one = found != NULL ? described(found) : NULL;
    char *text = one != NULL ? format("; that of %s is %s", one, how) : output_copy("");

    free(one);
    return text;
}

/* Say where the code is that is not a library of its own. */
static char *place(const struct found *found, unsigned depth)
{
    return depth == 0 ? output_copy(" linked into the program") : format(" linked into %s", program_base(found->path));
}

static void decide_other(struct examination *out, const struct survey *survey)
{
    const char *code = survey->other_is_openssl ? "openssl-inside" : "other-tls";
    char *other = described(survey->other);
    char *judged = beside(survey->unusable == NULL ? survey->judged : NULL, "judged");
    char *where = survey->other_is_openssl ? place(survey->other, survey->other_depth) : output_copy("");
    char *lacks = survey->other_is_openssl && survey->other_lacks != NULL ? format(", which lacks %s and so", survey->other_lacks) : output_copy(", which");
    char *next = output_copy(survey->other_is_openssl
                                 ? "use a build that is linked to the system's libssl, like Debian's packages, or that exports OpenSSL's functions, like those of nodejs.org"
                                 : "use a build or program that does TLS with OpenSSL or GnuTLS, or send its traffic through a pinned TLS proxy that uses OpenSSL");

    if (is_unguarded())
        decide(out, HOLD_NEITHER, code, format("its TLS is %s%s%s cannot be judged, and PINSHIM_UNJUDGED=allow switches the guard off%s", other,
            where, lacks, judged), next);
    else
        decide(out, HOLD_GUARDED, code, format("its TLS is %s%s%s cannot be judged: connections to targets that the rules pin or deny are %s%s",
            other, where, lacks, guarded_how(), judged), next);
    free(lacks);
    free(other);
    free(judged);
    free(where);
}

static void decide_judged(struct examination *out, const struct survey *survey)
{
    const struct found *found = survey->judged;
    bool gnutls = strcmp(found->name, "GnuTLS") == 0;
    bool later = strcmp(found->how, "later") == 0;
    char *name = described(found);
    char *where = strcmp(found->how, "inside") == 0 ? place(found, survey->judged_depth) : output_copy("");
    char *judged = format("%s%s", name, where);
    char *other = survey->other != NULL ? described(survey->other) : NULL;
    char *also = beside(survey->also, "judged, too");
    char *held = beside(survey->other, "guarded");
    const char *alone = gnutls ? later ? "gnutls-later" : "gnutls" : later ? "openssl-later" : "openssl";
    const char *beside_other = gnutls ? "gnutls-beside-other" : "openssl-beside-other";

    if (where[0] != '\0' && !gnutls)
        seen_add(&out->seen, "note", "what it calls of its own OpenSSL is not seen: names that it only checks after the handshake (X509_check_host), and what it asks a"
            " proxy for within TLS, do not count");
    if (survey->unusable != NULL)
        decide(out, HOLD_NEITHER, "openssl-unusable",
            format("its %s lacks %s: the shim would refuse every connection", judged, survey->unusable),
            output_copy("use OpenSSL 1.1.1 or later"));
    else if (other != NULL && is_unguarded())
        decide_if(out, HOLD_JUDGED, beside_other, format("it does no TLS with %s", other),
            format("its TLS is %s%s, and PINSHIM_UNJUDGED=allow switches the guard off", judged, also), NULL);
    else
        decide(out, HOLD_JUDGED, other != NULL ? beside_other : alone, format("its TLS is %s%s%s", judged, also, held), NULL);
    free(name);
    free(where);
    free(judged);
    free(other);
    free(also);
    free(held);
}

/* Go, also with cgo. Where it is a library that lies farther off than another TLS library, that one is taken for the program's own. */
static bool decide_unseen(struct examination *out, const struct survey *survey)
{
    const struct found *unseen = survey->unseen;
    char *name;
    char *where;

    if (unseen == NULL || (survey->judged != NULL && survey->judged_depth < survey->unseen_depth)
        || (survey->other != NULL && survey->other_depth < survey->unseen_depth))
        return false;
    name = described(unseen);
    where = survey->unseen_depth > 0 && unseen->through == NULL ? place(unseen, survey->unseen_depth) : output_copy("");
    decide(out, HOLD_NEITHER, "system-calls",
        format("its %s is %s%s, and Go makes its system calls itself, so that the shim does not see what is sent",
            strcmp(unseen->name, "Go") == 0 ? "language" : "TLS", name, where),
        output_copy("use a program that is not written in Go, or send its traffic through a pinned TLS proxy that uses OpenSSL"));
    free(where);
    free(name);
    return true;
}

/* libpq's default, sslmode=prefer, connects again without TLS after a refusal. */
static void look_for_fallback(struct examination *out, const struct libraries *libraries)
{
    static const char *const strict[] = {"require", "verify-ca", "verify-full"};
    const struct library *libpq = libraries_find(libraries, "libpq.so");

    for (size_t i = 0; i < sizeof(strict) / sizeof(strict[0]); i++) {
        if (is_set_to("PGSSLMODE", strict[i]))
            return;
    }
    if (libpq == NULL || out->hold == HOLD_NEITHER)
        return;
    out->plaintext = format("after a refusal, %s by default connects again in plaintext (sslmode=prefer); next: add tls=required to the rules"
        " for its servers (pins(5)), or set PGSSLMODE=require", library_name(libpq));
    seen_add(&out->seen, "plaintext", "%s, PGSSLMODE is %s", libpq->path, getenv("PGSSLMODE") != NULL ? getenv("PGSSLMODE") : "not set");
}

static void decide_tls(struct examination *out, const struct libraries *libraries, bool process)
{
    struct survey survey = {.out = out, .process = process};
    struct tls own = {.kind = TLS_OTHER, .name = own_tls(program_base(out->program.path))};

    if (own.name != NULL) {
        survey.other = note(out, &own, out->program.path, NULL, "inside");
        decide_other(out, &survey);
        return;
    }
    survey_libraries(libraries, NULL, &survey);
    if (!process)
        survey_plugins(out->program.path, libraries, &survey);
    if (elf_imports(&libraries->first->elf, "dlmopen"))
        seen_add(&out->seen, "note", "it can load libraries into a namespace of their own (dlmopen), where OpenSSL is judged, GnuTLS only if the program itself finds its functions there (dlsym), and nothing guarded");
    if (libraries_find(libraries, "liburing.so") != NULL)
        seen_add(&out->seen, "note", "it can send by io_uring (liburing), which the shim does not see");
    if (strncmp(program_base(out->program.path), "php", 3) == 0)
        seen_add(&out->seen, "note", "it loads extensions with RTLD_DEEPBIND; the shim removes that flag");
    if (decide_unseen(out, &survey))
        return;
    if (survey.other != NULL && (survey.judged == NULL || survey.other_depth <= survey.judged_depth))
        decide_other(out, &survey);
    else if (survey.judged != NULL)
        decide_judged(out, &survey);
    else
        decide_without(out, libraries);
    if (survey.unseen != NULL && out->hold != HOLD_NEITHER) {
        char *unseen = described(survey.unseen);

        add_condition(out, format("it does no TLS with %s, which is neither", unseen));
        free(unseen);
    }
    look_for_fallback(out, libraries);
}

/* What glibc's loader preloads in each program, also where it ignores LD_PRELOAD. */
static bool is_preloaded(const struct libraries *libraries)
{
    FILE *file = libraries->musl == NULL ? fopen("/etc/ld.so.preload", "re") : NULL;
    char *line = NULL;
    size_t size = 0;
    bool is = false;

    while (file != NULL && getline(&line, &size, file) > 0) {
        line[strcspn(line, "#")] = '\0';
        is |= strstr(line, "/libpinshim.so") != NULL;
    }
    free(line);
    if (file != NULL)
        (void)fclose(file);
    return is;
}

/* The loader ignores LD_PRELOAD, too, in what has another effective user than its real one. `started`: this user is about to start it. */
static void look_for_other_users(struct examination *out, const struct libraries *libraries, bool started)
{
    static const char *const starts[] = {"execv", "execve", "execvp", "execl", "execlp", "execle", "posix_spawn", "posix_spawnp"};
    const struct elf *elf = &libraries->first->elf;
    const char *what = NULL;
    struct stat status;
    bool may = false;

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        may |= elf_imports(elf, starts[i]);
    if (!may || out->hold == HOLD_NEITHER)
        return;
    /* Exim. */
    if (stat(out->program.path, &status) == 0 && (status.st_mode & S_ISUID) != 0)
        what = "it does not start itself again as another user, for whom it is set-user-ID";
    /* Squid. Who gives up all rights so does it with the group's, too; and of interpreters and the like it is not known what they start in any case. */
    else if (out->condition == NULL && strstr(out->code, "later") == NULL && elf_imports(elf, "setresuid") && !elf_imports(elf, "setresgid")
        && (!started || getuid() == 0))
        what = "it starts no program with another effective user than its real one (setresuid)";
    if (what != NULL && is_preloaded(libraries)) {
        seen_add(&out->seen, "note", "the shim is in /etc/ld.so.preload: what the program starts as another user has it, too, but with the default settings");
    } else if (what != NULL) {
        add_condition(out, format("%s%s", libraries->musl == NULL ? "the shim is in /etc/ld.so.preload, or " : "", what));
        if (out->next == NULL && libraries->musl == NULL)
            out->next = format("write %s into /etc/ld.so.preload, see docs/fleet.md", out->object);
    }
}

/* In a program with more rights than its user's (AT_SECURE), the loader ignores LD_PRELOAD. `started`: this user is about to start it. */
static bool has_rights(struct examination *out, bool started)
{
    struct stat status;
    const char *path = out->program.path;

    /* Who starts it and gains nothing, as root what belongs to root, has it as any other program. */
    if (stat(path, &status) == 0
        && (((status.st_mode & S_ISUID) != 0 && !(started && status.st_uid == getuid()))
            || ((status.st_mode & S_ISGID) != 0 && !(started && status.st_gid == getgid())))) {
        seen_add(&out->seen, "rights", "%s is %s (mode %04o, owner %u, group %u)", path,
            (status.st_mode & S_ISUID) != 0 ? "set-user-ID" : "set-group-ID", (unsigned)(status.st_mode & 07777), (unsigned)status.st_uid,
            (unsigned)status.st_gid);
        decide(out, HOLD_NEITHER, "set-user-id",
            format("it is %s, and the loader ignores LD_PRELOAD in such programs",
                (status.st_mode & S_ISUID) != 0 ? "set-user-ID" : "set-group-ID"),
            output_copy("if it starts another program, put \"pinshim run\" before that one; or write the shim into /etc/ld.so.preload, see docs/fleet.md"));
        return true;
    }
    if (!(started && getuid() == 0) && getxattr(path, "security.capability", NULL, 0) > 0) {
        seen_add(&out->seen, "rights", "%s has file capabilities (security.capability)", path);
        decide(out, HOLD_NEITHER, "capabilities", output_copy("it has file capabilities, and the loader ignores LD_PRELOAD in such programs"),
            format("remove them (setcap -r %s) and grant the rights in another way, such as systemd's AmbientCapabilities=", path));
        return true;
    }
    return false;
}

/* The loader's name identifies glibc. */
static bool is_foreign(struct examination *out, const struct libraries *libraries)
{
    const char *interpreter = libraries->first->elf.interpreter;
    const char *name = program_base(interpreter);

    seen_add(&out->seen, "loader", "%s%s", interpreter, libraries->musl != NULL ? " (musl)" : "");
    if (strncmp(name, "ld-linux", 8) == 0 || libraries->musl != NULL)
        return false;
    decide(out, HOLD_NEITHER, "libc",
        format("its C library is %s (loader %s), and the shim is made for glibc and musl",
            strncmp(name, "linker", 6) == 0 ? "Android's" : "neither glibc nor musl", interpreter),
        output_copy("use a build of it for glibc or musl"));
    return true;
}

static void name_static(struct examination *out, const struct libraries *libraries)
{
    struct survey survey = {.out = out};

    survey_libraries(libraries, NULL, &survey);
    if ((libraries->first->elf.flags_1 & DF_1_PIE) == 0 && libraries->first->elf.type == ET_DYN) {
        decide(out, HOLD_NEITHER, "no-program", output_copy("it is a shared object, not a program"),
            output_copy("give the program that loads it"));
        return;
    }
    if (survey.other != NULL || survey.unseen != NULL) {
        char *other = described(survey.other != NULL ? survey.other : survey.unseen);

        decide(out, HOLD_NEITHER, "static", format("it is linked statically, with %s: nothing can be preloaded", other),
            output_copy("use a build that is linked to the system's libssl"));
        free(other);
        return;
    }
    decide(out, HOLD_NEITHER, "static", output_copy("it is linked statically: nothing can be preloaded"),
        output_copy("use a build that is linked dynamically"));
}

/* Return the first version of glibc's symbols that the shim needs and the program's libc does not have; NULL: none. */
static const char *lacking_version(const struct elf *object, const struct libraries *libraries)
{
    const struct library *libc = libraries_find(libraries, "libc.so.6");
    const char *file;
    const char *version;

    for (size_t i = 0; libc != NULL && elf_needs_version(object, i, &file, &version); i++) {
        if (strcmp(file, "libc.so.6") == 0 && !elf_has_version(&libc->elf, version))
            return version;
    }
    return NULL;
}

/* Return true if the program's loader may be started even though the user has not decided to start the program. */
static bool is_roots(const char *loader)
{
    struct stat status;

    return stat(loader, &status) == 0 && status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Have the loader map the shim into the program. Return false if it does not. */
static bool try_object(struct examination *out, const struct libraries *libraries, enum ask ask)
{
    const struct elf *elf = &libraries->first->elf;
    char buffer[PATH_MAX];
    struct text said = text_over(buffer, sizeof(buffer));

    if (ask == ASK_NONE)
        return true;
    if (ask == ASK_ROOTS && !is_roots(elf->interpreter)) {
        seen_add(&out->seen, "shim", "not tried: the loader %s does not belong to root, or others may write it", elf->interpreter);
        return true;
    }
    switch (preload_try(elf->interpreter, out->program.path, out->object, &said)) {
    case PRELOAD_MAPPED:
        out->mapped = true;
        seen_add(&out->seen, "shim", "%s: %s loads it into this program", out->object, elf->interpreter);
        return true;
    case PRELOAD_INCOMPLETE:
        decide(out, HOLD_NEITHER, "missing-library", format("it would not start without the shim either: %s", buffer),
            output_copy("install what is missing, or set LD_LIBRARY_PATH as the program's own start script does"));
        return false;
    default:
        decide(out, HOLD_NEITHER, "shim-not-loadable", format("its loader does not load the shim: %s", buffer),
            format("see the output of \"LD_PRELOAD=%s %s --list %s\"", out->object, elf->interpreter, out->program.path));
        return false;
    }
}

/* The runtime of a sanitizer ends the program unless it is the first. */
static char *runtime_of(const struct libraries *libraries)
{
    static const char *const names[] = {"libasan.so", "libhwasan.so", "libclang_rt.asan", "libclang_rt.hwasan"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct library *library = libraries_find(libraries, names[i]);

        if (library != NULL)
            return output_copy(library->path);
    }
    return NULL;
}

static void examine_elf(struct examination *out, const struct libraries *libraries, const struct elf *object, enum ask ask)
{
    const struct elf *elf = &libraries->first->elf;
    char machine[64];
    struct text text = text_over(machine, sizeof(machine));
    const char *version;

    elf_print_machine(elf, &text);
    seen_add(&out->seen, "program", "%s (%s)", out->program.path, machine);
    if (!elf_alike(elf, object)) {
        char own[64];

        text = text_over(own, sizeof(own));
        elf_print_machine(object, &text);
        decide(out, HOLD_NEITHER, "architecture", format("it is for %s, and this shim is for %s", machine, own),
            format("build the shim for %s", machine));
        return;
    }
    if (elf->interpreter == NULL) {
        name_static(out, libraries);
        return;
    }
    if (is_foreign(out, libraries) || has_rights(out, ask))
        return;
    if (libraries->missing != NULL)
        seen_add(&out->seen, "note", "%s, which %s needs, was not found here", libraries->missing, library_name(libraries->missing_by));
    version = lacking_version(object, libraries);
    if (version != NULL) {
        decide(out, HOLD_NEITHER, "shim-not-loadable", format("its glibc has no %s, which the shim needs", version),
            output_copy("use glibc 2.31 or later"));
        return;
    }
    decide_tls(out, libraries, false);
    out->first = runtime_of(libraries);
    if (out->first != NULL)
        seen_add(&out->seen, "note", "%s must be the first library, so it stands before the shim in LD_PRELOAD", out->first);
    if (out->hold != HOLD_NEITHER && !try_object(out, libraries, ask))
        return;
    look_for_other_users(out, libraries, ask == ASK_ANY);
    if (out->hold != HOLD_NEITHER && !out->mapped)
        add_condition(out, output_copy("its loader loads the shim, which was not tried"));
}

/* Some programs start another one for TLS. Return its path, NULL: none. */
static char *helper_of(const char *program)
{
    static const char *const helpers[][2] = {
        {"git", "lib/git-core/git-remote-https"},
        {"git", "libexec/git-core/git-remote-https"},
        {"apt", "lib/apt/methods/https"},
        {"apt-get", "lib/apt/methods/https"},
        {"postfix", "lib/postfix/sbin/smtp"},
        {"gpg", "bin/dirmngr"},
        {"erl", "erts-*/bin/beam.smp"},
        {"pg_wrapper", "../lib/postgresql/*/bin/psql"}, /* Debian's psql */
    };
    char *real = realpath(program, NULL);
    const char *name = program_base(real != NULL ? real : program);
    char *path = NULL;

    for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]) && real != NULL && path == NULL; i++) {
        char *pattern = strcmp(name, helpers[i][0]) == 0 ? format("%.*s../%s", (int)(name - real), real, helpers[i][1]) : NULL;
        glob_t paths;

        if (pattern != NULL && glob(pattern, 0, NULL, &paths) == 0) {
            path = realpath(paths.gl_pathv[0], NULL);
            globfree(&paths);
        }
        free(pattern);
    }
    free(real);
    return path;
}

static void examine_program(struct examination *out, enum ask ask)
{
    struct libraries *libraries;
    struct elf object;
    char problem[PATH_MAX];
    struct text text = text_over(problem, sizeof(problem));
    const char *started = out->program.script ? out->program.subject : out->program.path;
    char *helper = helper_of(started);

    if (helper != NULL) {
        seen_add(&out->seen, "starts", "%s does TLS in %s", started, helper);
        free(out->program.path);
        out->program.path = helper;
    }
    free(out->object);
    out->object = preload_find(&text);
    if (out->object == NULL || elf_open(out->object, &object) != ELF_READ) {
        decide(out, HOLD_NEITHER, "no-shim", format("the shim cannot be used: %s", problem), output_copy("install it with \"make install\""));
        return;
    }
    libraries = libraries_of(out->program.path, NULL);
    if (libraries == NULL) {
        out->error = EACCES;
        decide(out, HOLD_NEITHER, "unreadable", format("%s cannot be read", out->program.path),
            output_copy("examine it as a user with read access"));
    } else {
        examine_elf(out, libraries, &object, ask);
    }
    libraries_free(libraries);
    elf_close(&object);
}

/* NAME=VALUE, as a shell takes it before a command. */
static bool is_assignment(const char *word)
{
    size_t name = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");

    return name > 0 && word[name] == '=' && strchr("0123456789", word[0]) == NULL;
}

static void decide_error(struct examination *out)
{
    const char *called = out->program.called;

    switch (out->error) {
    case ENOENT:
    case ENOTDIR:
        if (out->program.script) {
            decide(out, HOLD_NEITHER, "not-found",
                format("the script %s begins with \"%s\", and \"%s\" is not found", out->program.subject, out->program.first_line, called),
                output_copy("install that interpreter, or fix the script's first line"));
            break;
        }
        if (strchr(called, ' ') != NULL && called[strcspn(called, "=")] == '\0') {
            decide(out, HOLD_NEITHER, "not-found", format("\"%s\" is not found: a whole command line in quotes is taken for the name of a program", called),
                format("give it without quotes: -- %s; or, if it needs a shell: -- sh -c '%s'", called, called));
            break;
        }
        if (is_assignment(called)) {
            decide(out, HOLD_NEITHER, "not-found", format("\"%s\" is not found: it sets a variable, which takes a shell or env", called),
                format("put env before it: -- env %s COMMAND", called));
            break;
        }
        decide(out, HOLD_NEITHER, "not-found", format("\"%s\" is not found", called),
            output_copy(strchr(called, '/') != NULL ? "check the path" : "give its path, or add its directory to PATH"));
        break;
    case EISDIR:
        decide(out, HOLD_NEITHER, "cannot-run", format("\"%s\" is a directory", called), output_copy("give a program in it"));
        break;
    case ENOEXEC:
        decide(out, HOLD_NEITHER, "cannot-run", format("\"%s\" is neither a program nor a script", called), output_copy("give a program"));
        break;
    case ELOOP:
        decide(out, HOLD_NEITHER, "cannot-run", format("\"%s\" is a script whose interpreter is a script, too many times over", called),
            output_copy("give the program that finally runs"));
        break;
    default:
        decide(out, HOLD_NEITHER, "cannot-run", format("\"%s\" cannot be run: %s", called, strerror(out->error)),
            output_copy("check its permissions (ls -l): you must be able to read and execute it"));
        break;
    }
}

/* The loader starts a program without an object that it does not find. */
static void look_into_root(struct examination *out)
{
    const char *root = out->program.root;
    char *below = format("%s%s", root, out->object);

    if (root[0] == '\0')
        decide(out, HOLD_NEITHER, "root", format("it runs in another root directory, of which it is not known whether %s is there", out->object),
            output_copy("put the shim and the pins file there at the same paths, and use --force"));
    else if (access(below, R_OK) != 0)
        decide(out, HOLD_NEITHER, "root", format("it runs in the root directory %s, where %s is missing: the loader would start it without the shim", root, out->object),
            format("put it there (install -D %s %s), and the pins file too", out->object, below));
    free(below);
}

bool examine_demands_tls(const char *words)
{
    return strcasestr(words, "sslmode=require") != NULL || strcasestr(words, "sslmode=verify-") != NULL;
}

void examine(char *const *argv, enum ask ask, struct examination *out)
{
    const char *now = getenv("LD_LIBRARY_PATH");
    char *before = now != NULL ? output_copy(now) : NULL;

    memset(out, 0, sizeof(*out));
    program_follow(argv, &out->program, &out->seen);
    out->error = out->program.error;
    if (out->error != 0) {
        decide_error(out);
        free(before);
        return;
    }
    /* The loader searches by the LD_LIBRARY_PATH that the program is started with. */
    if (out->program.library_path != NULL && setenv("LD_LIBRARY_PATH", out->program.library_path, 1) != 0)
        output_error("the environment cannot be set: %s", strerror(errno));
    examine_program(out, ask);
    if (out->program.library_path != NULL
        && (before != NULL ? setenv("LD_LIBRARY_PATH", before, 1) : unsetenv("LD_LIBRARY_PATH")) != 0)
        output_error("the environment cannot be set: %s", strerror(errno));
    free(before);
    for (size_t i = 1; argv[0] != NULL && argv[i] != NULL && out->plaintext != NULL; i++) {
        if (examine_demands_tls(argv[i])) {
            seen_add(&out->seen, "plaintext", "\"%s\" demands TLS", argv[i]);
            free(out->plaintext);
            out->plaintext = NULL;
        }
    }
    if (out->condition != NULL && out->next == NULL) {
        char buffer[4096];
        struct text text = text_over(buffer, sizeof(buffer));

        program_print(argv, &text);
        out->next = format("see which connections are checked: PINSHIM_LOG_LEVEL=all pinshim run -- %s", buffer);
    }
    if (out->program.obstacle != NULL && out->object != NULL)
        decide(out, HOLD_NEITHER, out->program.obstacle_code, output_copy(out->program.obstacle), output_copy(out->program.obstacle_next));
    else if (out->program.root != NULL && out->hold != HOLD_NEITHER)
        look_into_root(out);
}

/* Take over what the process was started with, of that which the verdict depends on. */
static void take_environment(pid_t pid, struct examination *out)
{
    static const char *const wanted[] = {"PINSHIM_PINS", "PINSHIM_MODE", "PINSHIM_UNJUDGED", "PGSSLMODE"};
    char path[64];
    struct text text = text_over(path, sizeof(path));
    char *variable = NULL;
    size_t size = 0;
    FILE *file;

    text_add(&text, "/proc/%d/environ", (int)pid);
    file = fopen(path, "re");
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        (void)unsetenv(wanted[i]);
    while (file != NULL && getdelim(&variable, &size, '\0', file) > 0) {
        size_t length = strcspn(variable, "=");

        for (size_t i = 0; variable[length] == '=' && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
            if (strlen(wanted[i]) != length || strncmp(variable, wanted[i], length) != 0)
                continue;
            seen_add(&out->seen, "environment", "%s", variable);
            if (setenv(wanted[i], variable + length + 1, 1) != 0)
                output_error("the environment cannot be set: %s", strerror(errno));
        }
    }
    free(variable);
    if (file != NULL)
        (void)fclose(file);
}

void examine_process(pid_t pid, struct examination *out)
{
    struct libraries *libraries;

    memset(out, 0, sizeof(*out));
    out->program.named = format("process %d", (int)pid);
    libraries = libraries_mapped(pid, "libpinshim.so", &out->object);
    if (libraries == NULL) {
        out->error = errno;
        decide(out, HOLD_NEITHER, out->error == ENOENT ? "not-found" : "unreadable",
            out->error == ENOENT ? format("there is no process %d with a program", (int)pid)
                                 : format("process %d cannot be examined: %s", (int)pid, strerror(out->error)),
            output_copy(out->error == ENOENT ? "check the process ID" : "examine it as its user, or as root"));
        return;
    }
    out->program.path = output_copy(libraries->first->path);
    seen_add(&out->seen, "program", "%s", out->program.path);
    take_environment(pid, out);
    out->mapped = out->object != NULL;
    if (out->mapped) {
        seen_add(&out->seen, "shim", "%s is loaded in the process", out->object);
        decide_tls(out, libraries, true);
        if (libraries->missing != NULL && out->hold != HOLD_NEITHER)
            add_condition(out, format("%s, which is loaded but cannot be read, does no TLS", libraries->missing));
    } else if (libraries->first->elf.whole && libraries->first->elf.interpreter == NULL) {
        name_static(out, libraries);
    } else {
        decide(out, HOLD_NEITHER, "not-loaded", output_copy("the shim is not loaded in the process"),
            output_copy("end it, and start its program with \"pinshim run\""));
    }
    libraries_free(libraries);
}

void examination_free(struct examination *examination)
{
    struct found *next;

    for (struct found *found = examination->found; found != NULL; found = next) {
        next = found->next;
        free(found->version);
        free(found->path);
        free(found->through);
        free(found->crypto);
        free(found);
    }
    seen_free(examination->seen);
    program_free(&examination->program);
    free(examination->condition);
    free(examination->reason);
    free(examination->next);
    free(examination->plaintext);
    free(examination->object);
    free(examination->first);
    memset(examination, 0, sizeof(*examination));
}

int examination_status(const struct examination *examination)
{
    if (examination->error != 0)
        return examination->error == ENOENT || examination->error == ENOTDIR ? 127 : 126;
    return examination->hold == HOLD_NEITHER ? 1 : 0;
}
