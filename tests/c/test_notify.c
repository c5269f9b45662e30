/* SPDX-License-Identifier: MIT
 *
 * What the flusher tells the service manager: over the socket that NOTIFY_SOCKET names, if it names
 * one. */
#include "flusher/notify.h"

#include "support.h"

#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static int manager; /* its socket */

static void setup(void)
{
    support_setup();
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_ge(manager, 0);
}

static void teardown(void)
{
    close(manager);
    unsetenv("NOTIFY_SOCKET");
    remove_tree(support_directory);
}

/* `name` begins with / or, for an abstract one, with @. */
static void listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, strlen(name));
    if (*name == '@')
        address.sun_path[0] = 0;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    ck_assert_int_eq(bind(manager, (struct sockaddr *)&address, size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
}

/* "" if nothing has come. */
static const char *heard(void)
{
    static char message[64];
    ssize_t length = recv(manager, message, sizeof message - 1, 0);
    message[length < 0 ? 0 : length] = 0;
    return message;
}

START_TEST(message_arrives_at_a_socket_with_a_path)
{
    char name[100];
    snprintf(name, sizeof name, "%s/socket", support_directory);
    listen_at(name);
    notify_manager("READY=1");
    ck_assert_str_eq(heard(), "READY=1");
}
END_TEST

START_TEST(message_arrives_at_an_abstract_socket)
{
    char name[100];
    snprintf(name, sizeof name, "@%s", support_directory);
    listen_at(name);
    notify_manager("STOPPING=1");
    ck_assert_str_eq(heard(), "STOPPING=1");
}
END_TEST

START_TEST(names_that_no_socket_can_have_are_ignored)
{
    char name[100], too_long[200];
    memset(too_long, 'x', sizeof too_long);
    too_long[0] = '/';
    too_long[sizeof too_long - 1] = 0;
    snprintf(name, sizeof name, "%s/socket", support_directory);
    listen_at(name);
    const char *const names[] = {"", "/", "socket", "vsock:2:1", too_long, "/nobody/listens"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_manager("READY=1");
    }
    unsetenv("NOTIFY_SOCKET");
    notify_manager("READY=1");
    ck_assert_str_eq(heard(), "");
}
END_TEST

START_TEST(message_that_cannot_be_sent_for_want_of_descriptors_is_let_go)
{
    char name[100];
    struct rlimit before, none = {0};
    snprintf(name, sizeof name, "%s/socket", support_directory);
    listen_at(name);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    notify_manager("READY=1");
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_str_eq(heard(), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("notify");
    TCase *tests = tcase_create("notify");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, message_arrives_at_a_socket_with_a_path);
    tcase_add_test(tests, message_arrives_at_an_abstract_socket);
    tcase_add_test(tests, names_that_no_socket_can_have_are_ignored);
    tcase_add_test(tests, message_that_cannot_be_sent_for_want_of_descriptors_is_let_go);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
