/* SPDX-License-Identifier: MIT
 *
 * What a forked child must not inherit.
 *
 * A lock of the open-file kind (lock.h) lives as long as any copy of its descriptor, or a mapping
 * made through it. A child that another thread forks just while such a descriptor is open would
 * hold the lock on after its parent's death, for as long as it runs. So these descriptors are
 * private: a child closes its copies before anything else happens in it. And what must not be seen
 * half done, opening one and mapping it, happens between hold and release, where no fork comes.
 *
 * A child that is made behind the C library's back, by a raw clone, has copies until it execs or
 * ends; a child that shares our memory, as vfork's does, as well.
 *
 * Knows thread.h. */
#ifndef SYS_FORK_H
#define SYS_FORK_H

/* A page that the kernel fills with zeros in every forked child, however it is made; NULL with
 * errno if there is none to be had (needs Linux 4.14). */
void *sys_fork_wiped_page(void);

/* Between them this process cannot fork, and its thread is not interrupted by a signal: so they
 * must not be far apart, and nothing may wait for a device in between. They do not nest. */
void sys_fork_hold(void);
void sys_fork_release(void);

/* Call in between, with a descriptor that was opened in between: a forked child will not have it.
 * It must be closed by sys_fork_close(). */
int sys_fork_private(int fd);

/* Closes a private descriptor, or any other. */
void sys_fork_close(int fd);

#endif
