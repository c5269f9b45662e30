/* SPDX-License-Identifier: MIT
 *
 * Telling a service manager how it goes: the sd_notify protocol, a datagram to $NOTIFY_SOCKET, as
 * sd_notify(3) of systemd describes it under "Notes". */
#ifndef FLUSHER_NOTIFY_H
#define FLUSHER_NOTIFY_H

/* Sends e.g. "READY=1"; does nothing where nobody listens. */
void notify_manager(const char *message);

#endif
