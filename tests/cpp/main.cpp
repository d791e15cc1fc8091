// Runs the tests of a program: all, or those whose sentence has one of the arguments in it.
#include "test.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>
#include <vector>

namespace {

struct Test {
    const char *sentence;
    void (*body)();
};

std::vector<Test> &tests()
{
    static std::vector<Test> all;
    return all;
}

const char *running = "";

void hangs(int)
{
    static const char text[] = "FAILED: it hangs: ";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0 || write(STDERR_FILENO, running, std::strlen(running)) < 0)
        _exit(1);
    std::abort();
}

bool wanted(const char *sentence, int count, char **words)
{
    for (int i = 1; i < count; i++) {
        if (std::strstr(sentence, words[i]) != nullptr)
            return true;
    }
    return count <= 1;
}

} // namespace

bool test::add(const char *sentence, void (*body)())
{
    tests().push_back({sentence, body});
    return true;
}

void test::fail(const char *file, int line, const std::string &what)
{
    // Not to standard error, which some tests hold.
    std::printf("FAILED: %s\n%s:%d: %s\n", running, file, line, what.c_str());
    std::fflush(stdout);
    // Not exit: threads of the test may still use what exit tears down.
    _exit(1);
}

int main(int count, char **words)
{
    int ran = 0;
    std::signal(SIGALRM, hangs);
    for (const Test &test : tests()) {
        if (!wanted(test.sentence, count, words))
            continue;
        running = test.sentence;
        alarm(2 * test::patience);
        test.body();
        std::printf("ok %d %s\n", ++ran, test.sentence);
        std::fflush(stdout);
    }
    alarm(0);
    if (ran == 0)
        std::fprintf(stderr, "no such test\n");
    return ran > 0 ? 0 : 1;
}
