/*
 * Drives stock's client library against a helper that it starts itself, since a helper lets only its parent start agents.
 * usage: rootclient SOCKET ACTION... -- HELPER ARGUMENT...
 * actions: hostname NAME | pid NAME | cgroup NAME | start LABEL COMMAND | wait | terminate; each prints one line.
 */
#include <pcp/pmapi.h>
#include <pcp/pmda.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int started = -1;

static void start(int fd, const char *label, const char *command)
{
    int pid = -1, in = -1, out = -1;
    char said[64] = "";
    int sts = pmdaRootProcessStart(fd, 2, label, strlen(label), command, strlen(command), &pid, &in, &out);

    if (sts >= 0 && write(in, "hello", 5) == 5) {
	ssize_t got = read(out, said, sizeof(said) - 1);
	said[got > 0 ? got : 0] = '\0';
	started = pid;
    }
    printf("start %d %s %s\n", sts < 0 ? sts : 0, sts < 0 ? "-" : "+", said);
}

static void finish(int fd)
{
    int pid = -1, code = 0, round;

    for (round = 0; round < 500 && pid <= 0; round++) {
	pid = pmdaRootProcessWait(fd, -1, &code);
	usleep(10000);
    }
    printf("wait %s %d\n", pid == started ? "same" : "other", code);
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    char **helper = argv + 2;
    char text[4096];
    pid_t child;
    int fd = -1, at, round;

    while (*helper && strcmp(*helper, "--") != 0)
	helper++;
    if ((child = fork()) == 0) {
	execv(helper[1], helper + 1);
	_exit(127);
    }
    for (round = 0; round < 1000 && (fd = pmdaRootConnect(path)) < 0; round++)
	usleep(10000);
    for (at = 2; argv + at < helper && fd >= 0; at++) {
	const char *action = argv[at];
	if (strcmp(action, "hostname") == 0) {
	    const char *name = argv[++at];
	    int sts = pmdaRootContainerHostName(fd, name, strlen(name), text, sizeof(text));
	    printf("hostname %d %s\n", sts < 0 ? sts : 0, sts < 0 ? "" : text);
	}
	else if (strcmp(action, "cgroup") == 0) {
	    const char *name = argv[++at];
	    int sts = pmdaRootContainerCGroupName(fd, name, strlen(name), text, sizeof(text));
	    printf("cgroup %d %s\n", sts < 0 ? sts : 0, sts < 0 ? "" : text);
	}
	else if (strcmp(action, "pid") == 0) {
	    const char *name = argv[++at];
	    printf("pid %d\n", pmdaRootContainerProcessID(fd, name, strlen(name)));
	}
	else if (strcmp(action, "start") == 0) {
	    start(fd, argv[at + 1], argv[at + 2]);
	    at += 2;
	}
	else if (strcmp(action, "terminate") == 0)
	    printf("terminate %d\n", pmdaRootProcessTerminate(fd, started));
	else if (strcmp(action, "wait") == 0)
	    finish(fd);
    }
    if (fd >= 0)
	pmdaRootShutdown(fd);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    return fd < 0;
}
