// flood URL NAME COUNT: sends the integers from 1 to COUNT as fast as it can, and returns when the hub has the last one.
#include <nanostate.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr int Patience = 30000;

int fail()
{
    std::fprintf(stderr, "%s\n", ns_last_error());
    return 1;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const int64_t count = std::strtoll(argv[3], nullptr, 10);
    ns_app *app = nullptr;
    if (ns_app_new("flood", &app) != NS_OK || ns_app_connect(app, argv[1]) != NS_OK
        || ns_app_wait_connected(app, Patience) != NS_OK) {
        return fail();
    }
    for (int64_t i = 1; i <= count; ++i) {
        ns_status status = ns_app_send_int(app, argv[2], i);
        while (status == NS_ERR_FULL) {
            if (ns_app_flush(app, Patience) != NS_OK)
                return fail();
            status = ns_app_send_int(app, argv[2], i);
        }
        if (status != NS_OK)
            return fail();
    }
    if (ns_app_flush(app, Patience) != NS_OK)
        return fail();
    ns_app_free(app);
    return 0;
}
