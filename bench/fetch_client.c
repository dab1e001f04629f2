/*
 * A client that only fetches: N processes, each with a context of its own, fetch the same metrics as fast as they are
 * answered, and the time of every single fetch is kept. It prints one line of JSON.
 *
 *   fetch_client [-h HOST] [-c CLIENTS] [-s SECONDS] [-w WARMUP_FETCHES] [-p PERIOD_MS | -z PAUSE_MS] [-e] METRIC...
 *   fetch_client -r [-s SECONDS] FILE...
 *
 * -e accepts metrics that are answered by an error; without it one such metric ends the run, since an error is cheaper
 * than a value. -p fetches at fixed times instead of one after the other, and counts from the moment at which a fetch
 * was due: who had to wait behind a late one is late too. -z rests between two fetches. -r measures the floor instead:
 * the files are kept open and read with pread, nothing else is done.
 */
#include <pcp/pmapi.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SAMPLES = 1 << 18, MAX_ITEMS = 4096, MAX_FILE = 1 << 20 };

struct client {              /* in memory that parent and clients share; pages are taken as they are touched */
    unsigned count;
    unsigned errors;         /* metrics without a value */
    double seconds, cpu;
    unsigned long latency_ns[MAX_SAMPLES];
};

static struct {
    const char *host;
    int clients, warmup, accept_errors, read_files, items;
    double seconds, period, pause;
    const char **item;
} option = { .host = "localhost", .clients = 1, .warmup = 50, .seconds = 1.0 };

static pmID pmids[MAX_ITEMS];
static int files[MAX_ITEMS];
static char content[MAX_FILE];
static int start[2];          /* the pipe by which the parent lets the clients go */

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "fetch_client: %s: %s\n", what, why);
    exit(1);
}

static void check(int status, const char *what)
{
    if (status < 0)
        fail(what, pmErrStr(status));
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void prepare(void)
{
    if (option.read_files) {
        for (int i = 0; i < option.items; i++)
            if ((files[i] = open(option.item[i], O_RDONLY)) < 0)
                fail(option.item[i], "cannot be opened");
        return;
    }
    check(pmNewContext(PM_CONTEXT_HOST, option.host), option.host);
    check(pmLookupName(option.items, option.item, pmids), "pmLookupName");
}

static unsigned fetch(int verify)
{
    pmResult *result;
    unsigned errors = 0;
    check(pmFetch(option.items, pmids, &result), "pmFetch");
    for (int i = 0; i < option.items; i++)
        if (result->vset[i]->numval < 0) {
            errors++;
            if (verify)
                fail(option.item[i], pmErrStr(result->vset[i]->numval));
        }
    pmFreeResult(result);
    return errors;
}

static void read_files(void)
{
    for (int i = 0; i < option.items; i++)
        if (pread(files[i], content, sizeof content, 0) < 0)
            fail(option.item[i], "cannot be read");
}

static unsigned once(int verify)
{
    if (!option.read_files)
        return fetch(verify);
    read_files();
    return 0;
}

static void rest(double seconds)
{
    if (seconds > 0)
        nanosleep(&(struct timespec){ .tv_sec = seconds, .tv_nsec = (seconds - (time_t)seconds) * 1e9 }, NULL);
}

/* The moment from which the next fetch is counted: with a period it is waited for, unless it has passed already. */
static double next_start(double last, double ended)
{
    if (option.period > 0) {
        rest(last + option.period - now());
        return last + option.period;
    }
    rest(option.pause);
    return option.pause > 0 ? now() : ended;
}

/* Every client reports that it is ready, then waits for its byte from the parent: all begin together. */
static void run_client(struct client *client, int ready)
{
    char byte = 0;
    prepare();
    for (int i = 0; i <= option.warmup; i++)
        once(!option.accept_errors);
    if (write(ready, &byte, 1) != 1 || read(start[0], &byte, 1) != 1)
        exit(1);
    double begin = now(), before = begin, after = begin, cpu_before = cpu();
    while (after < begin + option.seconds && client->count < MAX_SAMPLES) {
        client->errors += once(0);
        after = now();
        client->latency_ns[client->count++] = (unsigned long)((after - before) * 1e9);
        before = next_start(before, after);
    }
    client->seconds = after - begin;
    client->cpu = cpu() - cpu_before;
    exit(0);
}

/* One after another: stock's pmcd listens with a backlog of five, and a lost SYN is a second. */
static void start_client(struct client *client)
{
    int ready[2];
    char byte;

    if (pipe(ready) < 0)
        fail("start", "no descriptors");
    if (fork() == 0) {
        close(start[1]);
        run_client(client, ready[1]);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        exit(1);
    close(ready[0]);
}

static void go(void)
{
    for (int i = 0; i < option.clients; i++)
        if (write(start[1], "", 1) != 1)
            fail("start", "the clients are gone");
}

static int by_size(const void *a, const void *b)
{
    unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;
    return (x > y) - (x < y);
}

static void report(const struct client *clients)
{
    size_t total = 0, at = 0, errors = 0;
    double rate = 0, cpu_used = 0;
    for (int i = 0; i < option.clients; i++) {
        total += clients[i].count;
        rate += clients[i].count / clients[i].seconds;
        cpu_used += clients[i].cpu;
        errors += clients[i].errors;
    }
    unsigned long *all = malloc(total * sizeof *all);
    for (int i = 0; i < option.clients; i++)
        for (unsigned j = 0; j < clients[i].count; j++)
            all[at++] = clients[i].latency_ns[j];
    qsort(all, total, sizeof *all, by_size);
    printf("{\"fetches\": %zu, \"rate\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f, "
           "\"client_cpu_us\": %.2f, \"errors\": %zu}\n", total, rate, all[total / 2] / 1e3, all[total * 99 / 100] / 1e3,
           all[total - 1] / 1e3, cpu_used / total * 1e6, errors);
    free(all);
}

static void read_options(int argc, char **argv)
{
    for (int letter; (letter = getopt(argc, argv, "h:c:s:w:p:z:er")) != -1;)
        switch (letter) {
        case 'h': option.host = optarg; break;
        case 'c': option.clients = atoi(optarg); break;
        case 's': option.seconds = atof(optarg); break;
        case 'w': option.warmup = atoi(optarg); break;
        case 'p': option.period = atof(optarg) / 1e3; break;
        case 'z': option.pause = atof(optarg) / 1e3; break;
        case 'e': option.accept_errors = 1; break;
        case 'r': option.read_files = 1; break;
        default: exit(2);
        }
    option.items = argc - optind;
    option.item = (const char **)argv + optind;
    if (option.items < 1 || option.items > MAX_ITEMS || option.clients < 1 || option.seconds <= 0)
        fail("usage", "[-h HOST] [-c CLIENTS] [-s SECONDS] [-w WARMUP] [-p PERIOD_MS | -z PAUSE_MS] [-e] METRIC... |"
             " -r FILE...");
}

int main(int argc, char **argv)
{
    int status;

    read_options(argc, argv);
    struct client *clients = mmap(NULL, option.clients * sizeof *clients, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (clients == MAP_FAILED || pipe(start) < 0)
        fail("start", "no memory or no descriptors");
    for (int i = 0; i < option.clients; i++)
        start_client(&clients[i]);
    go();
    while (wait(&status) > 0)
        if (status != 0)
            return 1;
    report(clients);
    return 0;
}
