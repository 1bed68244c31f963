#include "credentials.h"

#include <stdlib.h>

static void release(const void *library, void *attached)
{
    (void)library;
    free(attached);
}

struct credentials *gtls_credentials_of(const void *object)
{
    struct credentials *credentials = object != NULL ? state_of(object) : NULL;

    return credentials != NULL && credentials->attached.release == release ? credentials : NULL;
}

struct credentials *gtls_credentials_make(const struct gtls *gtls, const void *object)
{
    struct credentials *credentials = gtls_credentials_of(object);

    if (credentials != NULL)
        return credentials;
    credentials = calloc(1, sizeof(*credentials));
    if (credentials == NULL)
        return NULL;
    credentials->attached.release = release;
    credentials->gtls = gtls;
    if (!state_keep(gtls, object, &credentials->attached)) {
        free(credentials);
        return NULL;
    }
    return credentials;
}

void gtls_credentials_forget(const struct gtls *gtls, const void *object)
{
    if (gtls_credentials_of(object) != NULL)
        state_drop(gtls, object);
}
