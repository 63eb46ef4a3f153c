/* A child that its parent stops ends with the time limit, too. Prints the child's number. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "held.h"

int main(void)
{
    int pid = fork();
    NEED(pid >= 0);
    if (pid == 0)
        for (;;)
            ;
    printf("%d\n", pid);
    fflush(stdout);
    kill(pid, SIGSTOP);
    kill(pid, SIGTSTP);
    kill(pid, SIGTTIN);
    kill(pid, SIGTTOU);
    for (;;)
        pause();
}
