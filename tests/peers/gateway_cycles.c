/* A hub whose gateways open and close again and again: gateway_cycles COUNT DIRECTORY
 * Each time a client is connected, one that does not read. Ends well if there are as many threads and descriptors as
 * before. */
#include <nanostate.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* How many entries a directory has. */
static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    if (dir == NULL)
        return -1;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

/* A thread that was joined may be in the list for a moment longer, and so may what it had when `most` was counted. */
static int settle(const char *path, int most)
{
    const struct timespec moment = {0, 1000000};
    int i, n = 0;
    for (i = 0; i < 60000 && (n = entries(path)) > most; i++)
        nanosleep(&moment, NULL);
    return n;
}

/* Connects as a SUB, and reads the header of the other side, so that it is taken in. */
static int subscribe(const char *address)
{
    static const unsigned char header[8] = {0, 'S', 'P', 0, 0, 0x21, 0, 0};
    unsigned char answer[sizeof header];
    struct sockaddr_in to;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((unsigned short)atoi(strrchr(address, ':') + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof to) != 0
        || send(s, header, sizeof header, MSG_NOSIGNAL) != (ssize_t)sizeof header
        || recv(s, answer, sizeof answer, MSG_WAITALL) != (ssize_t)sizeof answer) {
        fprintf(stderr, "gateway_cycles: %s: %s\n", address, strerror(errno));
        return -1;
    }
    return s;
}

static int cycle(const char *directory)
{
    char urls[4][256];
    ns_hub *hub;
    int i, s;

    snprintf(urls[0], sizeof urls[0], "pub+tcp://127.0.0.1:0");
    snprintf(urls[1], sizeof urls[1], "pull+ipc://%s/cycle", directory);
    snprintf(urls[2], sizeof urls[2], "rep+ws://127.0.0.1:0/cycle");
    snprintf(urls[3], sizeof urls[3], "ws://127.0.0.1:0/cycle");
    if (ns_hub_new(&hub) != NS_OK)
        return -1;
    for (i = 0; i < 4; i++) {
        if (ns_hub_listen(hub, urls[i]) != NS_OK) {
            fprintf(stderr, "gateway_cycles: %s: %s\n", urls[i], ns_last_error());
            return -1;
        }
    }
    s = subscribe(ns_hub_address(hub, 0));
    ns_hub_free(hub);
    return s < 0 ? -1 : close(s);
}

int main(int argc, char **argv)
{
    long count, i;
    int threads, files, threads_then, files_then;

    if (argc != 3) {
        fprintf(stderr, "usage: gateway_cycles COUNT DIRECTORY\n");
        return 2;
    }
    count = strtol(argv[1], NULL, 10);
    threads = entries("/proc/self/task");
    files = entries("/proc/self/fd");
    for (i = 0; i < count; i++) {
        if (cycle(argv[2]) != 0)
            return 1;
        /* The first may have made what stays. */
        if (i == 0)
            files = entries("/proc/self/fd");
    }
    threads_then = settle("/proc/self/task", threads);
    files_then = settle("/proc/self/fd", files);
    printf("threads %d %d, files %d %d\n", threads, threads_then, files, files_then);
    return threads_then > threads || files_then > files;
}
