#include "refuse.h"

#include "guard.h"
#include "kernel.h"

#include <errno.h>
#include <signal.h>

int gtls_refuse(struct conn *conn)
{
    const struct gtls *gtls = conn->gtls;
    struct kernel_held held;
    int saved = errno;
    bool own;
    int fd;

    conn->phase = PHASE_REFUSED;
    if (conn->alerted)
        return REFUSED;
    conn->alerted = true;
    gtls_facts_follow(&conn->facts);
    fd = gtls_facts_socket(gtls, conn->session, &conn->facts, &own);
    errno = 0;
    if (kernel_hold_signals(KERNEL_SIGNAL(SIGPIPE), &held))
        (void)gtls->gnutls_alert_send(conn->session, GNUTLS_AL_FATAL, GNUTLS_A_BAD_CERTIFICATE);
    kernel_let_signals(errno == EPIPE ? KERNEL_SIGNAL(SIGPIPE) : 0, &held);
    if (own)
        guard_shut(fd);
    else
        guard_shut_after_alert(fd);
    errno = saved;
    return REFUSED;
}
