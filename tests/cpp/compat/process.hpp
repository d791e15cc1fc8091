// A child process: its input, its output, and its end with the test's. C++11.
#ifndef NANOSTATE_TEST_PROCESS_HPP
#define NANOSTATE_TEST_PROCESS_HPP

#include <string>
#include <sys/types.h>
#include <vector>

class Process
{
public:
    explicit Process(const std::vector<std::string> &arguments);
    // Kills it if it still runs.
    ~Process();
    Process(const Process &) = delete;
    Process &operator=(const Process &) = delete;

    // Gives it a line.
    void write(const std::string &line);
    // The next line of its standard output or standard error that has this part.
    std::string line(const std::string &part);
    std::string error(const std::string &part);
    // Whether a line with this part comes on its standard output before nothing comes for so long.
    bool says(const std::string &part, int timeout_ms);
    // Waits until it has ended; its exit code, or minus the signal that ended it.
    int wait();

private:
    static bool find(int fd, std::string &rest, const std::string &part, int timeout_ms, std::string &found);
    static std::string next(int fd, std::string &rest, const std::string &part);

    pid_t _pid;
    int _in, _out, _err;
    std::string _out_rest, _err_rest;
};

#endif
