/*
 * The same agent on stock's C library. gcc -O2 -o agent agent.c -lpcp_pmda -lpcp
 */
#include <pcp/pmapi.h>
#include <pcp/pmda.h>
#include <stdio.h>
#include <stdlib.h>

static pmdaIndom indoms[1];
static pmdaMetric metrics[] = {
    { NULL, { PMDA_PMID(0, 0), PM_TYPE_U32, PM_INDOM_NULL, PM_SEM_INSTANT, PMDA_PMUNITS(0, 0, 0, 0, 0, 0) } },
    { NULL, { PMDA_PMID(0, 1), PM_TYPE_DOUBLE, 0, PM_SEM_INSTANT, PMDA_PMUNITS(0, 0, 0, 0, 0, 0) } },
};
static double *values;

static int value_of(pmdaMetric *metric, unsigned int instance, pmAtomValue *atom)
{
    if (pmID_item(metric->m_desc.pmid) == 0)
        atom->ul = 42;
    else
        atom->d = values[instance];
    return PMDA_FETCH_STATIC;
}

int main(int argc, char **argv)
{
    const char *wanted = getenv("BENCH_SIZE");
    int size = wanted ? atoi(wanted) : 10000;
    pmdaInstid *instances = calloc(size, sizeof(*instances));
    pmdaInterface dispatch;

    values = calloc(size, sizeof(*values));
    for (int i = 0; i < size; i++) {
        char name[16];
        snprintf(name, sizeof(name), "inst%05d", i);
        instances[i].i_inst = i;
        instances[i].i_name = strdup(name);
        values[i] = i * 1.5;
    }
    indoms[0].it_indom = 0;
    indoms[0].it_numinst = size;
    indoms[0].it_set = instances;
    pmSetProgname("pmdabench");
    pmdaDaemon(&dispatch, PMDA_INTERFACE_7, "bench", 400, "/dev/null", NULL);
    pmdaSetFetchCallBack(&dispatch, value_of);
    pmdaInit(&dispatch, indoms, 1, metrics, 2);
    pmdaConnect(&dispatch);
    pmdaMain(&dispatch);
    return 0;
}
