/* What a hub counts, for its own program and for apps that ask it. */
#include "test.h"

#include <stdio.h>
#include <string.h>

/* What ns_hub_each_peer showed. */
struct counted {
    ns_hub *hub;
    int shown;
    int named;
    int most; /* The walk ends after this one. 0: it does not. */
    bool later;
};

static bool count_peer(ns_hub *hub, const ns_peer_stats_t *peer, void *ctx)
{
    struct counted *counted = (struct counted *)ctx;
    CHECK(hub == counted->hub);
    counted->shown++;
    EQUAL(0, peer->old);
    EQUAL(1, peer->live);
    CHECK(strlen(peer->from) > 0);
    if (strcmp(peer->identity, "counted") == 0) {
        EQUAL(2, peer->messages_in);
        EQUAL(0, peer->messages_out);
        counted->named++;
    } else {
        SAME("\xc3\xa4 peer", peer->identity);
        EQUAL(0, peer->messages_in);
        EQUAL(2, peer->messages_out);
    }
    if (counted->later) {
        uint64_t next;
        memcpy(&next, (const char *)peer + sizeof *peer, sizeof next);
        EQUAL(0, next);
    }
    return counted->shown != counted->most;
}

enum { CROWD = 24 };

struct crowd {
    ns_hub *hub;
    ns_app *apps[CROWD];
    int seen[CROWD];
    int others;
};

/* While the walk stands here, half of those who are shown in it leave, and others come. */
static bool come_and_go(ns_hub *hub, const ns_peer_stats_t *peer, void *ctx)
{
    struct crowd *crowd = (struct crowd *)ctx;
    int i;
    if (sscanf(peer->identity, "crowd-%d", &i) != 1 || i < 0 || i >= CROWD) {
        crowd->others++;
        return true;
    }
    if (crowd->seen[i]++ == 0 && i % 2 == 0) {
        char identity[32];
        ns_app_free(crowd->apps[i]);
        snprintf(identity, sizeof identity, "late-%d", i);
        crowd->apps[i] = app_at(identity, hub);
    }
    return true;
}

/* Each peer that is there at the beginning is shown once, whatever peers come and go meanwhile. */
static void crowd(void)
{
    struct crowd crowd;
    int i;
    memset(&crowd, 0, sizeof crowd);
    crowd.hub = hub_at(free_url("inproc"));
    for (i = 0; i < CROWD; i++) {
        char identity[32];
        snprintf(identity, sizeof identity, "crowd-%d", i);
        crowd.apps[i] = app_at(identity, crowd.hub);
    }
    OK(ns_hub_each_peer(crowd.hub, come_and_go, &crowd, sizeof(ns_peer_stats_t)));
    for (i = 0; i < CROWD; i++) {
        EQUAL(1, crowd.seen[i]);
        ns_app_free(crowd.apps[i]);
    }
    EQUAL(0, crowd.others);
    ns_hub_free(crowd.hub);
}

static void counters(void)
{
    ns_hub *hub = hub_at(free_url("ipc"));
    ns_app *a = app_at("counted", hub);
    ns_app *b = app_at("\xc3\xa4 peer", hub);
    ns_hub_stats_t stats;
    struct {
        ns_hub_stats_t stats;
        uint64_t later;
    } grown;
    uint64_t first[2] = {7, 7};
    struct counted peers;
    OK(ns_app_send_text(a, "x", "1"));
    OK(ns_app_send_text(a, "y", "2"));
    ns_state_free(next_named(b, "x"));
    ns_state_free(next_named(b, "y"));
    stats = hub_stats(hub);
    EQUAL(2, stats.peers);
    EQUAL(0, stats.old_peers);
    EQUAL(2, stats.joined);
    EQUAL(2, stats.states);
    EQUAL(2, stats.messages_in);
    EQUAL(2, stats.messages_out);
    CHECK(stats.bytes_in > 0 && stats.bytes_out > 0 && stats.table_bytes > 0);
    EQUAL(0, stats.malformed);
    EQUAL(0, stats.malformed_by[NS_MALFORMED_EMPTY]);
    EQUAL(0, stats.malformed_by[NS_MALFORMED_CONTROL]);
    memset(&peers, 0, sizeof peers);
    peers.hub = hub;
    OK(ns_hub_each_peer(hub, count_peer, &peers, sizeof(ns_peer_stats_t)));
    EQUAL(2, peers.shown);
    EQUAL(1, peers.named);
    peers.shown = peers.named = 0;
    peers.most = 1;
    OK(ns_hub_each_peer(hub, count_peer, &peers, sizeof(ns_peer_stats_t)));
    EQUAL(1, peers.shown);
    /* A program made for a later version reads on, and finds zeros. */
    peers.shown = peers.named = peers.most = 0;
    peers.later = true;
    OK(ns_hub_each_peer(hub, count_peer, &peers, sizeof(ns_peer_stats_t) + 8));
    EQUAL(2, peers.shown);
    OK(ns_hub_stats(hub, (ns_hub_stats_t *)(void *)first, sizeof first[0]));
    EQUAL(2, first[0]);
    EQUAL(7, first[1]);
    memset(&grown, 0xff, sizeof grown);
    OK(ns_hub_stats(hub, &grown.stats, sizeof grown));
    EQUAL(2, grown.stats.peers);
    EQUAL(0, grown.later);
    ns_app_free(a);
    ns_app_free(b);
    ns_hub_free(hub);
}

/* As count_peer, for a hub that is asked. */
static bool count_told(ns_app *app, const ns_peer_stats_t *peer, void *ctx)
{
    struct counted *counted = (struct counted *)ctx;
    (void)app;
    CHECK(peer->connected_ms < 3600 * 1000 && peer->connection > 0);
    counted->named += strcmp(peer->identity, "asks") == 0 && peer->messages_in == 2;
    counted->shown++;
    return counted->shown != counted->most;
}

/* An app asks what its hub counts, wherever that is. */
static void told(void)
{
    ns_hub *hub = hub_at(free_url("ipc"));
    ns_app *never = app_new("never");
    ns_app *asks = app_at("asks", hub);
    ns_app *other = app_at("other", hub);
    ns_hub_stats_t stats;
    uint64_t first[2] = {7, 7};
    struct counted peers;
    OK(ns_app_send_text(asks, "x", "1"));
    OK(ns_app_send_text(asks, "y", "2"));
    OK(ns_app_flush(asks, LONG));
    OK(ns_app_hub_stats(asks, LONG, &stats, sizeof stats));
    EQUAL(2, stats.peers);
    EQUAL(2, stats.messages_in);
    EQUAL(hub_stats(hub).max_peers, stats.max_peers);
    OK(ns_app_hub_stats(other, LONG, (ns_hub_stats_t *)(void *)first, sizeof first[0]));
    EQUAL(2, first[0]);
    EQUAL(7, first[1]);
    memset(&peers, 0, sizeof peers);
    OK(ns_app_each_hub_peer(other, LONG, count_told, &peers, sizeof(ns_peer_stats_t)));
    EQUAL(2, peers.shown);
    EQUAL(1, peers.named);
    peers.shown = 0;
    peers.most = 1;
    OK(ns_app_each_hub_peer(other, LONG, count_told, &peers, sizeof(ns_peer_stats_t)));
    EQUAL(1, peers.shown);
    IS(NS_ERR_STATE, ns_app_hub_stats(never, 0, &stats, sizeof stats));
    EQUAL(0, stats.peers);
    IS(NS_ERR_INVALID, ns_app_hub_stats(asks, -2, &stats, sizeof stats));
    IS(NS_ERR_INVALID, ns_app_hub_stats(asks, 0, NULL, sizeof stats));
    IS(NS_ERR_INVALID, ns_app_hub_stats(asks, 0, &stats, 0));
    IS(NS_ERR_STATE, ns_app_each_hub_peer(never, 0, count_told, &peers, sizeof(ns_peer_stats_t)));
    IS(NS_ERR_INVALID, ns_app_each_hub_peer(asks, 0, NULL, &peers, sizeof(ns_peer_stats_t)));
    IS(NS_ERR_INVALID, ns_app_each_hub_peer(asks, 0, count_told, &peers, 0));
    IS(NS_ERR_INVALID, ns_app_each_hub_peer(asks, 0, count_told, &peers, SIZE_MAX));
    ns_app_free(never);
    ns_app_free(asks);
    ns_app_free(other);
    ns_hub_free(hub);
}

const struct test counter_tests[] = {
    {"the hub counts, for itself and for each peer", counters},
    {"an app asks what its hub counts", told},
    {"each peer is shown once, whoever comes and goes meanwhile", crowd},
    {NULL, NULL},
};
