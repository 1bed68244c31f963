/* The pins in force: while threads hold them and the file is replaced, whoever asks gets what the file says, and what is held
 * stays as it is. The store cannot be emptied: each test runs in a child. */
#include "memory.h"
#include "pinstore.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 40 /* more than there are slots */
#define FAULTY (-1)

static char directory[] = "/tmp/pinstore-XXXXXX";
static char file[64];
static char log_file[64];

/* The generation is the pin's first bytes, and again its last: a store that is half one and half the other is found out. */
static int write_line(int generation, char line[static 200])
{
    if (generation == FAULTY)
        return snprintf(line, 200, "nonsense\n");
    return snprintf(line, 200, "* spki-sha256:%08x%048x%08x\n", (unsigned)generation, 0U, (unsigned)generation);
}

static void replace(int generation)
{
    char line[200];
    char path[80];
    int length = write_line(generation, line);
    int fd;

    (void)snprintf(path, sizeof(path), "%s.%d", file, (int)getpid());
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, line, (size_t)length) != length || close(fd) != 0 || rename(path, file) != 0)
        abort();
}

/* In place, and without a trace but for the times. */
static void rewrite(int generation)
{
    char line[200];
    int length = write_line(generation, line);
    int fd = open(file, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || pwrite(fd, line, (size_t)length, 0) != length || close(fd) != 0)
        abort();
}

static int generation_of(const struct pinstore *store)
{
    struct host host;
    struct rules rules;
    const struct pin *pin;
    const uint8_t *digest;

    memset(&host, 0, sizeof(host));
    if (store == NULL || store->pins == NULL)
        return FAULTY;
    rules = pins_lookup_any(store->pins, &host);
    pin = rules.first != NULL ? pins_next_pin(store->pins, rules.first, NULL) : NULL;
    if (pin == NULL)
        return FAULTY;
    digest = pins_digest(store->pins, pin);
    return memcmp(digest, digest + 28, 4) == 0 ? digest[0] << 24 | digest[1] << 16 | digest[2] << 8 | digest[3] : FAULTY;
}

static int generation_now(void)
{
    const struct pinstore *store = pinstore_acquire(NULL);
    int generation = generation_of(store);

    if (store != NULL)
        pinstore_log_faults(store);
    pinstore_release(store);
    return generation;
}

static int logged(void)
{
    char bytes[65536];
    int fd = open(log_file, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : 0;
    int count = 0;

    if (fd >= 0)
        (void)close(fd);
    for (ssize_t i = 0; i < length; i++)
        count += bytes[i] == '\n';
    return count;
}

/* Count what fails in a child, where check() would be lost. */
static int failures;

static void expect(int got, int wanted, const char *what)
{
    if (got != wanted)
        printf("not ok in a child: %s: %d, not %d\n", what, got, wanted);
    failures += got != wanted;
}

static void in_child(void (*test)(void), const char *why)
{
    int status = -1;
    pid_t child;

    (void)unlink(file);
    (void)unlink(log_file);
    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        (void)alarm(120);
        test();
        (void)fflush(stdout);
        _exit(failures != 0);
    }
    check(child > 0 && waitpid(child, &status, 0) == child && status == 0, "%s", why);
}

static void follow(void)
{
    pinstore_release(pinstore_acquire(NULL));
    expect(logged(), 0, "no line as long as nobody needs the pins");
    errno = 4711;
    expect(generation_now(), FAULTY, "no file, no pins");
    expect(generation_now(), FAULTY, "nor later");
    expect(logged(), 1, "one line for it");
    for (int i = 1; i <= 100; i++) {
        replace(i);
        expect(generation_now(), i, "the new file is in force");
        expect(generation_now(), i, "and again");
    }
    /* Several within a tick of the file system's clock. */
    for (int i = 1000; i > 100; i--) {
        rewrite(i);
        expect(generation_now(), i, "the rewritten file is in force");
    }
    rewrite(100);
    replace(FAULTY);
    for (int i = 0; i < 3; i++)
        expect(generation_now(), 101, "the last good one that was asked for is in force");
    expect(logged(), 2, "one line for a faulty file");
    (void)unlink(file);
    for (int i = 0; i < 3; i++)
        expect(generation_now(), 101, "the last good one goes on without a file");
    expect(logged(), 3, "one line for a file that is gone");
    replace(102);
    expect(generation_now(), 102, "the next good one is in force");
    expect(logged(), 3, "no line for a good file");
    expect(errno, 4711, "errno is kept");
}

/* What is stored through a mapping leaves the times as they are after the first time, as a write within one tick of the clock does. */
static void follow_without_a_trace(void)
{
    int tried = 0;

    for (int i = 0; i < 20; i++) {
        char line[200];
        int length = write_line(i * 2, line);
        struct timespec now;
        struct stat before, after;
        char *mapped;
        int fd, first, second;

        replace(i * 2);
        fd = open(file, O_RDWR | O_CLOEXEC);
        mapped = fd >= 0 ? mmap(NULL, (size_t)length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
        if (mapped == MAP_FAILED)
            abort();
        memcpy(mapped, line, (size_t)length);
        first = generation_now();
        (void)stat(file, &before);
        (void)write_line(i * 2 + 1, line);
        memcpy(mapped, line, (size_t)length);
        second = generation_now();
        (void)stat(file, &after);
        now = file_clock();
        (void)munmap(mapped, (size_t)length);
        (void)close(fd);
        expect(first, i * 2, "the file is in force");
        /* Later than that it cannot be a write within one tick. */
        if (memcmp(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim)) != 0
            || (now.tv_sec - after.st_ctim.tv_sec) * 1000 + (now.tv_nsec - after.st_ctim.tv_nsec) / 1000000 > 90)
            continue;
        expect(second, i * 2 + 1, "and what it says in the same tick");
        tried++;
    }
    expect(tried > 0, true, "the times did not change");
    expect(logged(), 0, "nothing was logged");
}

static int stores_read;

static struct roots *read_store(const struct pins_reader *reader)
{
    struct roots *roots = roots_new();
    struct file_identity identity;

    (void)reader;
    stores_read++;
    file_identify(directory, &identity);
    if (roots == NULL || !roots_note_place(roots, directory, &identity))
        abort();
    return roots;
}

/* The directory has just been changed: the trust store in it is not kept when the pins are read again. */
static void trust_store_without_a_trace(void)
{
    const struct pins_reader reader = {.read_roots = read_store};

    for (int i = 1; i <= 3; i++) {
        FILE *pins = fopen(file, "we");

        if (pins == NULL || fprintf(pins, "* pkix # %.*s\n", i, "...") < 0 || fclose(pins) != 0)
            abort();
        pinstore_release(pinstore_acquire(&reader));
        expect(stores_read, i, "the trust store is read again");
    }
}

static void ages(void)
{
    static const struct {
        time_t second;
        long nanosecond;
        enum file_age age; /* at 1000.500000000 */
    } rows[] = {
        {1000, 499999999, FILE_FRESH},
        {1000, 400000001, FILE_FRESH},
        {1000, 399999999, FILE_YOUNG},
        {999, 500000001, FILE_YOUNG},
        {998, 1, FILE_YOUNG},
        {997, 999999999, FILE_SETTLED},
        {0, 0, FILE_SETTLED},
        /* clocks with seconds, or two of them, or hundredths */
        {1000, 0, FILE_FRESH},
        {998, 0, FILE_FRESH},
        {998, 10000000, FILE_FRESH},
        {997, 0, FILE_SETTLED},
        /* of another system, or from before this one's clock was set */
        {1000, 500000001, FILE_FRESH},
        {1002, 499999999, FILE_FRESH},
        {1002, 500000001, FILE_YOUNG},
        {2000, 0, FILE_YOUNG},
    };
    const struct timespec now = {1000, 500000000};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct file_identity identity;

        memset(&identity, 0, sizeof(identity));
        identity.changed = (struct timespec) {rows[i].second, rows[i].nanosecond};
        expect((int)file_age(&identity, &now), (int)rows[i].age, "the age of a file");
    }
}

/* Where a file's time was asked for within the tick of the clock, the next write's is of a finer clock (Linux 6.13), ahead of the one that the age is counted by. */
static void await_writer(void)
{
    struct timespec begin;
    struct timespec end;
    struct stat status;
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    for (int i = 0; i < 5; i++) {
        (void)clock_gettime(CLOCK_MONOTONIC, &begin);
        if (fd < 0 || write(fd, "#", 1) != 1 || fstat(fd, &status) != 0 || write(fd, "#", 1) != 1)
            abort();
        file_await_writer(file);
        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        expect((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 >= 80, true, "a file that was just written to is waited for");
    }
    (void)close(fd);
}

static void write_file(const char *content, const char *path)
{
    size_t length = strlen(content);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, content, length) != (ssize_t)length || close(fd) != 0)
        abort();
}

static void put_file(const char *content)
{
    char path[80];

    (void)snprintf(path, sizeof(path), "%s.new", file);
    write_file(content, path);
    if (rename(path, file) != 0)
        abort();
}

/* What is demanded of a host now: its pins, each by its first digit; - none; "any": it has no rule. */
static const char *demanded(const char *name)
{
    static char shown[64];
    const struct pinstore *store = pinstore_acquire(NULL);
    struct text text = text_over(shown, sizeof(shown));
    const struct rule *rule = NULL;
    const struct pin *pin = NULL;
    struct rules rules;
    struct host host;

    if (store != NULL && store->pins != NULL && host_parse(name, strlen(name), &host)) {
        rules = pins_lookup(store->pins, &host);
        if (rules.first == NULL)
            rules = pins_lookup_any(store->pins, &host);
        rule = rules.first;
    }
    if (rule == NULL) {
        text_add(&text, "any");
    } else {
        while ((pin = pins_next_pin(store->pins, rule, pin)) != NULL)
            text_add(&text, "%x", (unsigned)pins_digest(store->pins, pin)[0] >> 4);
        text_add(&text, "%s%s%s%s", rule->action == RULE_ALLOW ? "allow" : rule->action == RULE_DENY ? "deny" : "", rule->pkix ? " pkix" : "",
            rule->tls_required ? " tls" : "", pins_only_report(store->pins, rule) ? " report" : "");
    }
    pinstore_release(store);
    return shown;
}

static void demands(const char *name, const char *wanted, const char *when)
{
    const char *got = demanded(name);

    if (strcmp(got, wanted) != 0)
        printf("not ok in a child: %s: \"%s\", not \"%s\"\n", when, got, wanted);
    failures += strcmp(got, wanted) != 0;
}

#define ZEROS "000000000000000000000000000000000000000000000000000000000000000"
#define A "spki-sha256:a" ZEROS
#define B "spki-sha256:b" ZEROS
#define C "spki-sha256:c" ZEROS

/* The writer stops in the midst: nothing that stood in the file before is lost, and what is new counts at once. */
static void rewritten(void)
{
    static const struct {
        const char *before;
        const char *now;
        const char *wanted; /* of h.example */
    } rows[] = {
        /* an option on a later line of the same target */
        {"h.example " A "\nh.example " A " tls=required\n", "h.example " A "\n", "a tls"},
        {"h.example " A "\nh.example pkix\n", "h.example " A "\n", "a pkix"},
        {"h.example allow\nh.example tls=required\n", "h.example allow\n", "allow tls"},
        {"h.example pkix\nh.example " A "\n", "h.example pkix\n", "a pkix"},
        {"h.example pkix\nh.example " A " tls=required\n", "h.example pkix\n", "a pkix tls"},
        /* a line that is cut, and a last one that is not but has no end */
        {"h.example " A " tls=required pkix\n", "h.example " A, "a pkix tls"},
        {"h.example " A " expires=2020-02-02\nh.example " B "\n", "h.example " A, "ab"},
        {"h.example " A "\n", "h.example " B, "a"},
        {"h.example " A "\nh.example " B "\n", "h.example " A, "a"},
        {"h.example " A "\n", "h.example allow", "allow"},
        {"h.example " A "\n", "h.example deny", "deny"},
        {"x.example " A "\n", "h.example " B, "b"},
        /* what comes in whole lines is meant */
        {"h.example " A "\n", "h.example " B "\n", "b"},
        {"h.example " A "\nh.example " B "\n", "h.example " B "\n", "b"},
        {"h.example " A "\n", "h.example allow\n", "allow"},
        {"h.example pkix\n", "h.example allow\n", "allow"},
        {"h.example " A "\n", "h.example deny\n", "deny"},
        {"h.example deny\n", "h.example " A "\n", "a"},
        {"h.example " A "\n", "h.example " A " mode=report\n", "a report"},
        {"h.example " A " mode=report\n", "h.example " A "\n", "a"},
        /* what a wider target demanded of it, and the same name with another port */
        {"*.example " A " pkix tls=required\n", "h.example " B "\n", "b pkix tls"},
        {"**.example pkix\n* tls=required allow\n*.example " A "\n", "h.example " B "\n", "b"},
        {"* " A " tls=required\n", "h.example pkix\n", "a pkix tls"},
        {"h.example:443 " A " pkix\n", "h.example:443 " B "\n", "b pkix"},
        {"h.example " A " pkix\n", "h.example:443 " B "\n", "b pkix"},
        {"h.example " A "\nh.example:444 " C " pkix\n", "h.example:443 " B "\n", "b"},
        /* a target that is lost */
        {"h.example " A " tls=required pkix\n", "x.example " B "\n", "a pkix tls"},
        {"* deny\n", "x.example " B "\n", "deny"},
        {"h.example allow\n", "x.example " B "\n", "any"},
    };
    char when[400];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)snprintf(when, sizeof(when), "row %zu", i);
        put_file(rows[i].before);
        (void)demanded("h.example:443");
        write_file(rows[i].now, file);
        demands("h.example:443", rows[i].wanted, when);
        demands("h.example:443", rows[i].wanted, when);
        /* By rename it is in force as it is. */
        put_file("h.example " C "\n");
        demands("h.example:443", "c", when);
    }
    expect(logged(), 0, "no fault");
}

/* As long as it goes on, with faults between, what was there before it began stays; once it is quiet, nothing of it. */
static void rewritten_again_and_again(void)
{
    put_file("h.example " A "\nx.example " B "\nx.example tls=required\n");
    demands("x.example:443", "b tls", "the first");
    write_file("x.example " B "\n", file);
    demands("x.example:443", "b tls", "one is cut");
    write_file("nonsense", file);
    demands("x.example:443", "b tls", "a fault");
    for (int i = 0; i < 5; i++) {
        write_file("y.example " C "\n", file);
        demands("h.example:443", "a", "lost");
        demands("x.example:443", i == 0 ? "b tls" : "c tls", "lost, too");
        write_file("x.example " C "\n", file);
        demands("y.example:443", "c", "of a file between");
        demands("x.example:443", "c tls", "its option");
    }
    (void)sleep(4);
    /* No look at the file in the meantime. */
    write_file("x.example " A "\ny.example " A "\n", file);
    demands("x.example:443", "a", "what was kept has lapsed");
    demands("h.example:443", "any", "and this target");
    write_file("y.example " A "\n", file);
    demands("x.example:443", "a", "but not what stood there when it was quiet");
    (void)sleep(4);
    demands("x.example:443", "any", "quiet");
    demands("y.example:443", "a", "what is there now");
}

/* The memory for it has a limit. */
static void rewritten_at_length(void)
{
    static char content[2000 * 100];
    size_t most = 0;

    put_file("h.example " A "\n");
    for (int round = 0; round < 20; round++) {
        const struct pinstore *store;
        size_t at = 0;

        for (int i = 0; i < 2000; i++)
            at += (size_t)snprintf(content + at, sizeof(content) - at, "n%d-%d.example " B "\n", round, i);
        demands("h.example:443", "a", "through all of it");
        write_file(content, file);
        store = pinstore_acquire(NULL);
        if (pins_kept(store->pins) > most)
            most = pins_kept(store->pins);
        pinstore_release(store);
    }
    expect(most > 4000, true, "what the last ones had is kept");
    expect(most < 10000, true, "not what all of them had");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CAN_LIMIT_MEMORY
#endif

#ifdef CAN_LIMIT_MEMORY
/* What is in force stays, and one line for each change says why. */
static void without_memory(void)
{
    const struct rlimit none = {0, RLIM_INFINITY};
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

    replace(1);
    expect(generation_now(), 1, "there is memory");
    if (setrlimit(RLIMIT_AS, &none) != 0)
        abort();
    for (size_t size = 1 << 20; size > 0; size /= 2) {
        while (memory_get(size) != NULL) {}
    }
    for (int i = 2; i < 4; i++) {
        replace(i);
        for (int j = 0; j < 3; j++)
            expect(generation_now(), 1, "there is none");
        expect(logged(), i - 1, "one line for each change");
    }
    (void)setrlimit(RLIMIT_AS, &unlimited);
    expect(generation_now(), 3, "there is memory again");
    expect(logged(), 2, "and no line more");
}
#endif

/* Each holder keeps what it got, however many of them there are. */
static void hold_many(void)
{
    const struct pinstore *held[MANY];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            replace(round * MANY + i);
            held[i] = pinstore_acquire(NULL);
        }
        for (int i = 0; i < MANY; i++)
            expect(generation_of(held[i]), round * MANY + i, "what is held has not changed");
        expect(generation_now(), round * MANY + MANY - 1, "the last one is in force");
        for (int i = MANY - 1; i >= 0; i--)
            pinstore_release(held[i]);
        expect(generation_now(), round * MANY + MANY - 1, "and when nothing is held");
    }
    replace(FAULTY);
    expect(generation_now(), 3 * MANY - 1, "the last good one goes on");
    expect(logged(), 1, "one line");
}

static _Atomic int replaced; /* the generation that is there for sure */
static _Atomic bool enough;
static _Atomic int wrong;
static _Atomic int rounds;

static void *acquire_on(void *arg)
{
    while (!atomic_load(&enough)) {
        int least = atomic_load(&replaced);
        const struct pinstore *store = pinstore_acquire(NULL);
        int generation = generation_of(store);

        if (generation < least || generation_of(store) != generation)
            atomic_fetch_add(&wrong, 1);
        if (atomic_fetch_add(&rounds, 1) % 64 == 0)
            (void)usleep(100);
        if (generation_of(store) != generation)
            atomic_fetch_add(&wrong, 1);
        pinstore_release(store);
    }
    return arg;
}

/* Run `meanwhile` while threads acquire and release. */
static void with_threads(int count, void (*meanwhile)(void))
{
    pthread_t threads[MANY];

    for (int i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, acquire_on, NULL) != 0)
            abort();
    }
    meanwhile();
    atomic_store(&enough, true);
    for (int i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    expect(atomic_load(&wrong), 0, "no thread had less than the file said when it asked");
    expect(atomic_load(&rounds) > 100, true, "the threads did something");
}

static void replace_all_the_time(void)
{
    for (int i = 1; i <= 1000; i++) {
        replace(i);
        atomic_store(&replaced, i);
        (void)usleep(i % 8 == 0 ? 2000 : 100);
    }
}

static void race(void)
{
    replace(0);
    with_threads(4, replace_all_the_time);
    expect(logged(), 0, "nothing was logged");
}

static void race_of_many(void)
{
    replace(0);
    with_threads(MANY, replace_all_the_time);
    expect(logged(), 0, "nothing was logged");
}

/* The threads all load first, at once: one of them says why it fails. */
static void *acquire_once(void *arg)
{
    if (generation_now() != FAULTY)
        atomic_fetch_add(&wrong, 1);
    return arg;
}

static void first_load(void)
{
    pthread_t threads[MANY];

    replace(FAULTY);
    for (int i = 0; i < MANY; i++) {
        if (pthread_create(&threads[i], NULL, acquire_once, NULL) != 0)
            abort();
    }
    for (int i = 0; i < MANY; i++)
        (void)pthread_join(threads[i], NULL);
    expect(atomic_load(&wrong), 0, "none was given pins");
    expect(logged(), 1, "one line");
}

/* The child has none of the threads, but their counts. It loads two good files and a faulty one. */
static void fork_one(int generation)
{
    int before = logged();
    int status = -1;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        (void)alarm(60);
        failures = 0;
        for (int i = 0; i < 2; i++) {
            replace(generation + i);
            expect(generation_now(), generation + i, "a child obeys the new file");
        }
        replace(FAULTY);
        expect(generation_now(), generation + 1, "a child goes on with the last good one");
        expect(logged() > before, true, "a child has a free slot");
        replace(generation + 1);
        (void)fflush(stdout);
        _exit(failures != 0);
    }
    expect(child > 0 && waitpid(child, &status, 0) == child && status == 0, true, "a child");
}

/* A sanitizer's allocator has locks, and a child can find them held by threads that are not there: it would wait for ever. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CAN_FORK_AMID_THREADS
#endif

#ifdef CAN_FORK_AMID_THREADS
static void fork_all_the_time(void)
{
    for (int i = 1; i <= 60; i++) {
        fork_one(i * 10);
        /* What nobody here asked for before it became faulty is not the last good one. */
        expect(generation_now(), i * 10 + 1, "the parent obeys the child's last file");
        atomic_store(&replaced, i * 10 + 1);
    }
}

static void fork_amid_threads(void)
{
    replace(0);
    with_threads(6, fork_all_the_time);
}
#endif

/* More than there are slots, each held for ever by a thread that the child does not have. */
static void *hold_for_ever(void *arg)
{
    (void)!pinstore_acquire(NULL);
    atomic_fetch_add(&rounds, 1);
    for (;;)
        (void)pause();
    return arg;
}

static void fork_while_all_is_held(void)
{
    pthread_t thread;

    for (int i = 0; i < MANY; i++) {
        replace(i);
        if (pthread_create(&thread, NULL, hold_for_ever, NULL) != 0)
            abort();
        while (atomic_load(&rounds) <= i)
            (void)usleep(100);
    }
    fork_one(1000);
    replace(2000);
    expect(generation_now(), 2000, "the parent obeys the new file without a free slot");
}

int main(void)
{
    if (mkdtemp(directory) == NULL)
        return 1;
    (void)snprintf(file, sizeof(file), "%s/pins", directory);
    (void)snprintf(log_file, sizeof(log_file), "%s/log", directory);
    (void)setenv("PINSHIM_PINS", file, 1);
    (void)setenv("PINSHIM_LOG", log_file, 1);
    in_child(follow, "what the file says is in force");
    in_child(follow_without_a_trace, "a file that was changed twice within a tick");
    in_child(trust_store_without_a_trace, "a trust store that may have changed twice within a tick");
    in_child(ages, "ages of files");
    in_child(await_writer, "a file that is being written");
    in_child(rewritten, "a file that is rewritten in place");
    in_child(rewritten_again_and_again, "one that goes on being rewritten");
    in_child(rewritten_at_length, "one whose targets change all the time");
#ifdef CAN_LIMIT_MEMORY
    in_child(without_memory, "a file for which there is no memory");
#endif
    in_child(hold_many, "more holders than slots");
    in_child(race, "four threads while the file is replaced");
    in_child(race_of_many, "many threads while the file is replaced");
    in_child(first_load, "a first load of many threads");
#ifdef CAN_FORK_AMID_THREADS
    in_child(fork_amid_threads, "children of a program with threads");
#endif
    in_child(fork_while_all_is_held, "a child of a program whose threads hold all there is");
    (void)unlink(file);
    (void)unlink(log_file);
    (void)rmdir(directory);
    return unit_end("pinstore");
}
