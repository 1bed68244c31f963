/* Paths from a leaf to its issuers, verified here: never the chain that the peer sent as it came, nor what the program made of it. */
#ifndef PINSHIM_PATH_H
#define PINSHIM_PATH_H

#include "peer.h"

/* What policy.c asks of a peer that peer_read has read. */
extern const struct peer_path path_of_peer;

#endif
