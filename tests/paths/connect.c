/* connect HOST PORT [thread]: the plainest client, linked with libssl. It asks for the machine's name first. thread: it does all in one, with the stack that
 * threads have by default. */

#include "paths.h"
#include <pthread.h>

static void *run(void *arg)
{
    return fetch_at(arg) ? arg : NULL;
}

int main(int argc, char **argv)
{
    char name[256];
    pthread_t thread;
    void *done;

    if (argc < 3 || gethostname(name, sizeof(name)) != 0)
        return 2;
    if (!word(argv, "thread"))
        return run(argv) != NULL ? 0 : 1;
    if (pthread_create(&thread, NULL, run, argv) != 0 || pthread_join(thread, &done) != 0)
        return 2;
    return done != NULL ? 0 : 1;
}
