/* Lets valgrind follow a program to its worker processes.
 *
 * A worker is started as /proc/self/exe, which under valgrind is valgrind itself. This names the
 * program instead, as the variable FOLLOW has it:
 *
 *     cc -shared -fPIC -o follow.so follow.c -ldl
 *     FOLLOW=$PROGRAM LD_PRELOAD=$PWD/follow.so valgrind --trace-children=yes $PROGRAM ...
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>

static const char *named(const char *file) {
    return strcmp(file, "/proc/self/exe") ? file : getenv("FOLLOW");
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const arguments[],
                 char *const environment[]) {
    int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *,
                const posix_spawnattr_t *, char *const[], char *const[]) =
        dlsym(RTLD_NEXT, "posix_spawnp");
    return real(pid, named(file), actions, attributes, arguments, environment);
}

int execvp(const char *file, char *const arguments[]) {
    int (*real)(const char *, char *const[]) = dlsym(RTLD_NEXT, "execvp");
    return real(named(file), arguments);
}
