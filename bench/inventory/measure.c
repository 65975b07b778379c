// measure OUTPUT COMMAND... : runs a command with its standard output in a file and prints its wall time in microseconds and its largest
// resident memory in kilobytes. Fails when the command does.
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 3) return 64;
    int output = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (output < 0) return 65;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    pid_t child = fork();
    if (child == 0) {
        dup2(output, 1);
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    int status;
    struct rusage usage;
    if (child < 0 || wait4(child, &status, 0, &usage) != child) return 66;
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%ld %ld\n", (end.tv_sec - start.tv_sec) * 1000000 + (end.tv_nsec - start.tv_nsec) / 1000, usage.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 67;
}
