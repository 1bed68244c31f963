#include "pinstore.h"

#include "kernel.h"
#include "log.h"
#include "memory.h"
#include "stack.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define SLOTS 32
#define NO_SLOT (-1)
#define LOST_TRIES 16 /* to publish; each fails because another thread has loaded in the meantime */
#define PATIENCE 100 /* an unchanged file is read again after this many times the time that reading took... */
#define MANY_KEPT 1000 /* rules and pins of older files */
#define LONGEST INT64_C(1000000000) /* ...but at the latest after this: nanoseconds */

/* Pins, shared by each store in which they are the last good ones. */
struct shared {
    _Atomic unsigned owners;
    struct pins *pins;
};

/* The faults in the order found, each with its NUL. */
struct faults {
    char *bytes;
    size_t length;
    size_t count;
};

struct loaded {
    struct pinstore store; /* must be the first member: pinstore_release casts it back */
    struct shared *shared; /* NULL: no good ones yet */
    struct shared *quiet; /* what was in force before the file began to be rewritten; NULL: it is not */
    struct file_identity file; /* the file that was read, good or faulty */
    struct file_identity root; /* the root directory of the first load */
    bool opened; /* and then read, or refused for its mode, type or size */
    enum file_age age; /* of the youngest file that was read */
    bool partial; /* good, but not all that they need was read, because there was no TLS library */
    struct faults faults;
    _Atomic bool faults_logged;
    int64_t begun; /* when (clock_now) reading began */
    _Atomic int64_t next_look; /* when to read it again even if it has not changed */
    int slot; /* NO_SLOT: used by one thread alone */
};

/* Readers are counted without a lock, because a forked child could find a lock held for ever. For the same reason a count carries the
 * process that counts: in a forked child, the counts and claims of the parent's other threads are void. */
#define COUNTED UINT64_C(0x7fffffff)
#define CLAIMED UINT64_C(0x80000000) /* some thread is replacing this slot's store */

static struct slot {
    _Atomic uint64_t readers; /* the process is in the upper half */
    _Atomic(struct loaded *) loaded;
} slots[SLOTS];

static _Atomic bool any_client;

bool pinstore_had_client(void)
{
    return atomic_load_explicit(&any_client, memory_order_relaxed);
}

static _Atomic int current; /* the slot in force, from 1; 0: nothing was loaded yet */

static uint64_t this_process(void)
{
    return (uint64_t)kernel_process() << 32;
}

/* Return the count as this process sees it. */
static uint64_t own_count(uint64_t readers, uint64_t process)
{
    return (readers & ~(CLAIMED | COUNTED)) == process ? readers : process;
}

static void enter(struct slot *slot)
{
    uint64_t process = this_process();
    uint64_t seen = atomic_load(&slot->readers);

    while (!atomic_compare_exchange_weak(&slot->readers, &seen, own_count(seen, process) + 1)) {}
}

static void leave(struct slot *slot)
{
    uint64_t process = this_process();
    uint64_t seen = atomic_load(&slot->readers);

    /* If the process was forked after this thread was counted, there is nothing to subtract. */
    while ((own_count(seen, process) & COUNTED) != 0 && !atomic_compare_exchange_weak(&slot->readers, &seen, seen - 1)) {}
}

/* Claim a slot without readers and return its number; later readers will leave it at once. 0 if every slot is in use. */
static int claim_slot(void)
{
    uint64_t process = this_process();

    for (int i = 0; i < SLOTS; i++) {
        uint64_t seen = atomic_load(&slots[i].readers);

        if (atomic_load(&current) == i + 1 || own_count(seen, process) != process
            || !atomic_compare_exchange_strong(&slots[i].readers, &seen, process | CLAIMED))
            continue;
        /* Meanwhile the slot may have been in force, been entered, and been replaced: this order of checks misses none of it. From
         * here on only the claimant can bring it into force; readers that enter see that it is not in force, and leave. */
        if (atomic_load(&current) != i + 1 && atomic_load(&slots[i].readers) == (process | CLAIMED))
            return i + 1;
        atomic_fetch_sub(&slots[i].readers, CLAIMED);
    }
    return 0;
}

static struct shared *own_too(struct shared *shared)
{
    if (shared != NULL)
        atomic_fetch_add(&shared->owners, 1);
    return shared;
}

static void disown(struct shared *shared)
{
    if (shared == NULL || atomic_fetch_sub(&shared->owners, 1) != 1)
        return;
    pins_free(shared->pins);
    memory_let_go(shared);
}

static void drop(struct loaded *loaded)
{
    if (loaded == NULL)
        return;
    disown(loaded->shared);
    disown(loaded->quiet);
    memory_let_go(loaded->faults.bytes);
    memory_let_go(loaded);
}

enum publication { NOT_PUBLISHED = 0, NO_ROOM, PUBLISHED };

/* Bring `loaded` into force instead of what is in use from slot `before` (from 1; 0: nothing), and use it. NOT_PUBLISHED:
 * another thread was quicker. The slot in use cannot get other content meanwhile, so an equal number means equal content. */
static enum publication publish(struct loaded *loaded, int before)
{
    int number = claim_slot();
    struct slot *slot;

    if (number == 0)
        return NO_ROOM;
    slot = &slots[number - 1];
    loaded->slot = number - 1;
    drop(atomic_exchange(&slot->loaded, loaded));
    if (!atomic_compare_exchange_strong(&current, &before, number)) {
        atomic_store(&slot->loaded, NULL);
        loaded->slot = NO_SLOT;
        atomic_fetch_sub(&slot->readers, CLAIMED);
        return NOT_PUBLISHED;
    }
    atomic_fetch_sub(&slot->readers, CLAIMED - 1);
    return PUBLISHED;
}

/* What ends on a day ends without the file's being read again. */
static void note_day(const struct loaded *loaded)
{
    if (loaded->store.pins != NULL && pins_have_days(loaded->store.pins))
        pins_set_today(loaded->shared->pins, text_today());
}

static struct loaded *hold_current(void)
{
    for (;;) {
        int number = atomic_load(&current);
        struct slot *slot;

        if (number == 0)
            return NULL;
        slot = &slots[number - 1];
        enter(slot);
        if (atomic_load(&current) == number) {
            struct loaded *loaded = atomic_load(&slot->loaded);

            note_day(loaded);
            return loaded;
        }
        leave(slot);
    }
}

static void keep_fault(struct faults *faults, const char *message)
{
    size_t length = strlen(message) + 1;
    char *bigger = memory_resize(faults->bytes, faults->length + length);

    faults->count++;
    if (bigger == NULL)
        return;
    memcpy(bigger + faults->length, message, length);
    faults->bytes = bigger;
    faults->length += length;
}

#define FAULT 1024 /* bytes */

static void on_error(void *arg, uint32_t line, uint32_t column, const char *message)
{
    static struct spare spare;
    const char *path = config_get()->pins;
    char *buffer = spare_take(&spare, FAULT);
    struct text text;

    if (buffer == NULL) {
        keep_fault(arg, message);
        return;
    }
    text = text_over(buffer, FAULT);
    text_add_escaped(&text, path, strlen(path), 300);
    if (line != 0)
        text_add(&text, ":%u:%u", (unsigned)line, (unsigned)column);
    text_add(&text, ": %s", message);
    keep_fault(arg, buffer);
    spare_let_go(&spare, buffer);
}

static struct shared *share(struct pins *pins)
{
    struct shared *shared = memory_get(sizeof(*shared));

    if (shared == NULL) {
        pins_free(pins);
        return NULL;
    }
    atomic_init(&shared->owners, 1);
    shared->pins = pins;
    return shared;
}

/* Return true if the client certificates' files and the trust store have not changed since they were read. */
static bool same_beside(const struct pins *pins)
{
    const struct client_cert *client;

    for (uint32_t number = 1; pins != NULL && (client = pins_client(pins, number)) != NULL; number++) {
        for (size_t i = 0; i < CLIENT_FILES; i++) {
            if (client->paths[i] != NULL && !file_stays(client->paths[i], &client->files[i]))
                return false;
        }
    }
    return pins == NULL || roots_stay(pins_roots(pins));
}

/* Return the age of the youngest of the files when they were read. */
static enum file_age age_of(const struct loaded *loaded, const struct timespec *now)
{
    const struct pins *pins = loaded->shared != NULL ? loaded->shared->pins : NULL;
    enum file_age age = file_age(&loaded->file, now);
    const struct client_cert *client;

    if (pins != NULL)
        age = file_younger(age, roots_age(pins_roots(pins)));
    for (uint32_t number = 1; pins != NULL && (client = pins_client(pins, number)) != NULL; number++)
        age = file_younger(age, client->age);
    return age;
}

/* Nanoseconds of a clock that never goes back. */
static int64_t clock_now(void)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Return when to read again after what was just read. */
static int64_t look_again(const struct loaded *loaded)
{
    int64_t now = clock_now();
    int64_t patience = (now - loaded->begun) * PATIENCE;

    if (loaded->age == FILE_FRESH)
        return 0;
    return now + (patience < LONGEST ? patience : LONGEST);
}

/* Return true if the pins lack something that this reader can read. */
static bool lacks(const struct loaded *loaded, const struct pins_reader *reader)
{
    return loaded->partial && reader != NULL && reader->tls != NULL;
}

/* A writer that stops in the midst leaves what looks like a whole file. If it is the file that was in force, and was written to a moment ago, keep what it
 * has lost: of the file that was there when this began, for as long as it goes on; and of those between, unless there is too much of that. Return false when
 * memory ran out. */
static bool keep_lost(struct loaded *loaded, struct pins *pins, const struct loaded *before, const struct timespec *now)
{
    bool settled = before != NULL && before->store.fault[0] == '\0' && file_age(&before->file, now) == FILE_SETTLED;

    if (before == NULL || before->shared == NULL || loaded->file.device != before->file.device || loaded->file.inode != before->file.inode
        || file_age(&loaded->file, now) == FILE_SETTLED)
        return true;
    loaded->quiet = own_too(settled || before->quiet == NULL ? before->shared : before->quiet);
    return (loaded->quiet == before->shared || pins_keep_lost(pins, before->shared->pins, pins_kept(before->shared->pins) > MANY_KEPT))
        && pins_keep_lost(pins, loaded->quiet->pins, true);
}

/* Read the file, whose identity was `seen`. If it is faulty, the last good pins, those of `before` (or NULL), stay in force. NULL: out of
 * memory. */
static struct loaded *load(const struct loaded *before, const struct file_identity *seen, const struct pins_reader *reader)
{
    static const struct file_identity none;
    const struct config *config = config_get();
    struct loaded *loaded = memory_get(sizeof(*loaded));
    struct timespec now;
    struct pins_reader renewing = {.read = NULL};
    struct pins *pins = NULL;
    struct faults *faults;
    char message[300];
    struct text fleeting = text_over(message, sizeof(message));
    struct text fault;

    if (loaded == NULL)
        return NULL;
    faults = &loaded->faults;
    loaded->slot = NO_SLOT;
    /* Later, what was there before holds meanwhile. */
    if (before == NULL || before->shared == NULL)
        file_await_writer(config->pins_file);
    loaded->begun = clock_now();
    now = file_clock();
    if (reader != NULL)
        renewing = *reader;
    renewing.before = before != NULL ? before->store.pins : NULL;
    if (before != NULL)
        loaded->root = before->root;
    else
        file_identify("/", &loaded->root);
    if (config->fault[0] != '\0')
        keep_fault(faults, config->fault);
    else if (file_is_fleeting(config->pins_file, "the pins file", &fleeting))
        on_error(faults, 0, 0, message);
    else
        pins = pins_load(config->pins_file, reader != NULL ? &renewing : NULL, &loaded->file, on_error, faults);
    if (pins != NULL && !keep_lost(loaded, pins, before, &now)) {
        pins_free(pins);
        pins = NULL;
    }
    if (pins != NULL)
        pins_read_roots(pins, reader != NULL ? &renewing : NULL);
    loaded->opened = !file_same(&loaded->file, &none);
    if (!loaded->opened)
        loaded->file = *seen;
    loaded->shared = pins != NULL ? share(pins) : NULL;
    if (loaded->shared == NULL && faults->count == 0)
        on_error(faults, 0, 0, "out of memory");
    loaded->age = age_of(loaded, &now);
    if (loaded->shared != NULL) {
        loaded->partial = reader != NULL && reader->tls == NULL && pins_need_library(pins);
    } else {
        fault = text_over(loaded->store.fault, sizeof(loaded->store.fault));
        text_add(&fault, "%s", faults->bytes != NULL ? faults->bytes : "out of memory");
        if (faults->count > 1)
            text_add(&fault, " (and %zu more)", faults->count - 1);
        loaded->shared = before != NULL && !lacks(before, reader) ? own_too(before->shared) : NULL;
        loaded->partial = loaded->shared != NULL && before->partial;
        if (loaded->shared != NULL && loaded->quiet == NULL)
            loaded->quiet = own_too(before->quiet);
    }
    if (loaded->shared != NULL)
        loaded->store.pins = loaded->shared->pins;
    if (loaded->store.pins != NULL && pins_client(loaded->store.pins, 1) != NULL)
        atomic_store(&any_client, true);
    return loaded;
}

/* Return true if the files need not be read again as long as they look the same: they cannot have changed without a trace since then, or another thread
 * has read them after this one began to (`since`; 0: it did not), or it would be too soon. */
static bool is_recent(const struct loaded *held, int64_t since)
{
    return (held->age == FILE_SETTLED && held->store.fault[0] == '\0') || (since != 0 && held->begun >= since)
        || clock_now() < atomic_load(&held->next_look);
}

static _Atomic bool had_library; /* some reader had a TLS library */

/* Return true if new pins that need a TLS library wait for a handshake, which finds out whether they are good: this reader has none, there will be one, and
 * what is in force lacks nothing. */
static bool is_for_library(const struct loaded *held, const struct pins_reader *reader)
{
    return reader != NULL && reader->may_wait && held != NULL && !held->partial && held->store.pins != NULL && atomic_load(&had_library);
}

static _Atomic uint64_t postponed; /* the print_of such a file */

static uint64_t print_of(const struct file_identity *file)
{
    const uint64_t words[] = {file->device, file->inode, (uint64_t)file->size, (uint64_t)file->modified.tv_sec, (uint64_t)file->modified.tv_nsec,
        (uint64_t)file->changed.tv_sec, (uint64_t)file->changed.tv_nsec};
    uint64_t print = 1;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        print = (print ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ print >> 29;
    return print;
}

/* Return true if what is in use stays in force without reading the file, whose identity becomes `seen`. */
static bool stays(const struct loaded *held, int64_t since, const struct pins_reader *reader, struct file_identity *seen)
{
    struct file_identity root;

    if (held == NULL) {
        file_identify(config_get()->pins_file, seen);
        return false;
    }
    if (config_get()->fault[0] != '\0' || !file_may_read())
        return true;
    file_identify(config_get()->pins_file, seen);
    if (is_for_library(held, reader) && print_of(seen) == atomic_load(&postponed))
        return true;
    if (lacks(held, reader))
        return false;
    if (is_recent(held, since) && file_same(seen, &held->file) && same_beside(held->store.pins))
        return true;
    /* After chroot the path leads to another file. */
    file_identify("/", &root);
    return root.device != held->root.device || root.inode != held->root.inode;
}

/* Return true if `loaded` brings nothing new. A fault is checked again at each call, because its cause (no memory, no free descriptor) may go away
 * without a change of the file. */
static bool is_no_news(const struct loaded *held, const struct loaded *loaded)
{
    if (held == NULL || held->partial != loaded->partial || loaded->store.fault[0] == '\0' || !file_same(&loaded->file, &held->file))
        return false;
    /* The program may have lost access to a file that is in force and has not changed. */
    if (held->store.fault[0] == '\0')
        return !loaded->opened;
    return strcmp(held->store.fault, loaded->store.fault) == 0;
}

struct loading {
    const struct loaded *before;
    const struct file_identity *seen;
    const struct pins_reader *reader;
    struct loaded *loaded;
};

static void load_here(void *with)
{
    struct loading *loading = with;

    loading->loaded = load(loading->before, loading->seen, loading->reader);
}

static _Atomic uint64_t starved; /* the print_of a file for which there was no memory at all; 0: none */

/* Return what is in force after `held`, for use instead. NULL: `held` was released, and the caller starts again. */
static const struct loaded *renew(const struct loaded *held, const struct file_identity *seen, const struct pins_reader *reader, bool last_try)
{
    struct loading loading = {held, seen, reader, NULL};
    struct loaded *loaded;
    enum publication publication;

    /* Elsewhere signals are not held: it may take long. */
    if ((reader == NULL || reader->tls == NULL) && stack_is_alternate())
        stack_call(load_here, &loading);
    else
        load_here(&loading);
    loaded = loading.loaded;
    atomic_store(&starved, loaded == NULL ? print_of(seen) : 0);
    if (loaded != NULL)
        atomic_init(&loaded->next_look, look_again(loaded));
    if (loaded != NULL && loaded->partial && is_for_library(held, reader)) {
        atomic_store(&postponed, print_of(&loaded->file));
        drop(loaded);
        return held;
    }
    if (loaded == NULL || is_no_news(held, loaded)) {
        if (held != NULL && loaded != NULL)
            atomic_store(&((struct loaded *)(uintptr_t)held)->next_look, atomic_load(&loaded->next_look));
        drop(loaded);
        return held;
    }
    publication = publish(loaded, held != NULL ? held->slot + 1 : 0);
    if (publication == NOT_PUBLISHED && !last_try) {
        drop(loaded);
        loaded = NULL;
    }
    pinstore_release(held != NULL ? &held->store : NULL);
    return loaded;
}

const struct pinstore *pinstore_acquire(const struct pins_reader *reader)
{
    const struct loaded *held;
    struct file_identity seen;
    int saved = errno;
    int64_t since = 0;
    int lost = 0;
    int cancelled;

    /* A cancelled thread would leave its count and its open files behind. */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelled);
    if (reader != NULL && reader->tls != NULL && !atomic_load_explicit(&had_library, memory_order_relaxed))
        atomic_store(&had_library, true);
    do {
        held = hold_current();
        if (!stays(held, since, reader, &seen)) {
            since = since != 0 ? since : clock_now();
            held = renew(held, &seen, reader, lost == LOST_TRIES);
        }
    } while (held == NULL && lost++ < LOST_TRIES);
    (void)pthread_setcancelstate(cancelled, NULL);
    errno = saved;
    return held != NULL ? &held->store : NULL;
}

const struct pinstore *pinstore_hold(void)
{
    const struct loaded *held = hold_current();

    return held != NULL ? &held->store : NULL;
}

void pinstore_log_faults(const struct pinstore *store)
{
    static _Atomic uint64_t logged;
    struct loaded *loaded = (struct loaded *)(uintptr_t)store;
    const struct faults *faults = &loaded->faults;
    uint64_t print = atomic_load_explicit(&starved, memory_order_relaxed);
    int saved = errno;

    if (print != 0 && atomic_exchange(&logged, print) != print)
        log_fault("%s: out of memory", config_get()->pins);
    /* One that no other thread can see is not logged by each. */
    if (faults->count == 0 || loaded->slot == NO_SLOT || atomic_exchange(&loaded->faults_logged, true))
        return;
    if (faults->length == 0)
        log_fault("%s: %s", config_get()->pins, store->fault); /* there was no memory for them */
    for (size_t at = 0; at < faults->length; at += strlen(faults->bytes + at) + 1)
        log_fault("%s", faults->bytes + at);
    errno = saved;
}

void pinstore_release(const struct pinstore *store)
{
    struct loaded *loaded = (struct loaded *)(uintptr_t)store;
    int saved = errno;

    if (loaded == NULL)
        return;
    if (loaded->slot == NO_SLOT)
        drop(loaded);
    else
        leave(&slots[loaded->slot]);
    errno = saved;
}
