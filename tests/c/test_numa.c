/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=numa_available,--wrap=numa_max_node,--wrap=numa_bitmask_isbitset
 * LDFLAGS: -Wl,--wrap=numa_num_configured_nodes,--wrap=numa_tonode_memory,--wrap=numa_run_on_node
 * LDFLAGS: -Wl,--wrap=numa_node_of_cpu,--wrap=fopen
 *
 * --numa-node: what it takes, and what is placed where. Few machines have several nodes, so libnuma
 * and what the kernel shows of the log's device are played here. */
#include "flusher/numa.h"

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <numa.h>

static struct machine {
    int available, max, configured, missing; /* nodes 0 to `max`, without `missing` */
    int cpu_node;
    const char *device, *parent; /* what their files say; NULL: there is none */
    int run_error;
} machine;

static int memory_node, thread_node; /* where they were put; -1: left alone */

int __wrap_numa_available(void);
int __wrap_numa_max_node(void);
int __wrap_numa_bitmask_isbitset(const struct bitmask *mask, unsigned node);
int __wrap_numa_num_configured_nodes(void);
void __wrap_numa_tonode_memory(void *memory, size_t bytes, int node);
int __wrap_numa_run_on_node(int node);
int __wrap_numa_node_of_cpu(int cpu);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);

int __wrap_numa_available(void)
{
    return machine.available;
}

int __wrap_numa_max_node(void)
{
    return machine.max;
}

int __wrap_numa_bitmask_isbitset(const struct bitmask *mask, unsigned node)
{
    (void)mask;
    return (int)node != machine.missing;
}

int __wrap_numa_num_configured_nodes(void)
{
    return machine.configured;
}

void __wrap_numa_tonode_memory(void *memory, size_t bytes, int node)
{
    (void)memory, (void)bytes;
    memory_node = node;
}

int __wrap_numa_run_on_node(int node)
{
    errno = machine.run_error;
    if (machine.run_error != 0)
        return -1;
    thread_node = node;
    return 0;
}

int __wrap_numa_node_of_cpu(int cpu)
{
    (void)cpu;
    return machine.cpu_node;
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (strncmp(path, "/sys/dev/block/", 15) != 0)
        return __real_fopen(path, mode);
    const char *says = strstr(path, "/../") != NULL ? machine.parent : machine.device;
    return says == NULL ? NULL : fmemopen((char *)says, strlen(says), "r");
}

static void setup(void)
{
    machine = (struct machine){.max = 3, .configured = 3, .missing = 2, .cpu_node = 1};
    memory_node = thread_node = -1;
}

static int bind_to(int node)
{
    int log_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = numa_node_bind(node, log_fd, NULL, 0);
    close(log_fd);
    ck_assert_int_eq(memory_node, error == 0 ? thread_node : memory_node);
    return error;
}

START_TEST(node_is_a_number_or_auto)
{
    static const char *const wrong[] = {"", "many", "1x", "-1", "4096", "99999999999999999999"};
    int node = 77;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_int_eq(numa_node_parse(wrong[i], &node), -EINVAL);
    ck_assert_int_eq(node, 77);
    SUPPORT_OK(numa_node_parse("4095", &node));
    ck_assert_int_eq(node, 4095);
    SUPPORT_OK(numa_node_parse("auto", &node));
    ck_assert_int_eq(node, NUMA_NODE_AUTO);
}
END_TEST

START_TEST(memory_and_thread_are_put_on_the_node_that_is_named)
{
    SUPPORT_OK(bind_to(3));
    ck_assert_int_eq(memory_node, 3);
    ck_assert_int_eq(thread_node, 3);
}
END_TEST

START_TEST(node_that_is_not_there_is_refused)
{
    ck_assert_int_eq(bind_to(4), -EINVAL);
    ck_assert_int_eq(bind_to(2), -EINVAL);
    ck_assert_int_eq(memory_node, -1);
}
END_TEST

START_TEST(nothing_is_placed_where_there_is_nothing_to_choose)
{
    SUPPORT_OK(bind_to(NUMA_NODE_ANY));
    machine.available = -1;
    SUPPORT_OK(bind_to(3));
    machine = (struct machine){.max = 0, .configured = 1, .missing = -1};
    SUPPORT_OK(bind_to(0));
    ck_assert_int_eq(memory_node, -1);
}
END_TEST

START_TEST(auto_is_the_devices_node_or_its_parents_or_the_cpus_or_the_first)
{
    machine.parent = "3\n";
    SUPPORT_OK(bind_to(NUMA_NODE_AUTO)); /* a partition */
    ck_assert_int_eq(memory_node, 3);
    machine.device = "0\n";
    SUPPORT_OK(bind_to(NUMA_NODE_AUTO));
    ck_assert_int_eq(memory_node, 0);
    machine.device = machine.parent = "-1\n"; /* on a machine whose firmware does not say */
    SUPPORT_OK(bind_to(NUMA_NODE_AUTO));
    ck_assert_int_eq(memory_node, 1);
    machine.device = machine.parent = "what?\n";
    machine.cpu_node = 3;
    SUPPORT_OK(bind_to(NUMA_NODE_AUTO));
    ck_assert_int_eq(memory_node, 3);
    machine.cpu_node = -1;
    SUPPORT_OK(numa_node_bind(NUMA_NODE_AUTO, -1, NULL, 0)); /* of which nothing can be known */
    ck_assert_int_eq(memory_node, 0);
}
END_TEST

START_TEST(thread_that_may_not_be_placed_is_an_error)
{
    machine.run_error = EPERM;
    ck_assert_int_eq(bind_to(1), -EPERM);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("numa");
    TCase *tests = tcase_create("numa");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, node_is_a_number_or_auto);
    tcase_add_test(tests, memory_and_thread_are_put_on_the_node_that_is_named);
    tcase_add_test(tests, node_that_is_not_there_is_refused);
    tcase_add_test(tests, nothing_is_placed_where_there_is_nothing_to_choose);
    tcase_add_test(tests, auto_is_the_devices_node_or_its_parents_or_the_cpus_or_the_first);
    tcase_add_test(tests, thread_that_may_not_be_placed_is_an_error);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
