#include "process.hpp"

#include "../test.hpp"

#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

Process::Process(const std::vector<std::string> &arguments) : _pid(-1), _in(-1), _out(-1), _err(-1)
{
    int in[2], out[2], err[2];
    std::vector<char *> argv;
    for (const std::string &argument : arguments)
        argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    _pid = fork();
    CHECK(_pid >= 0);
    if (_pid == 0) {
        if (dup2(in[0], STDIN_FILENO) >= 0 && dup2(out[1], STDOUT_FILENO) >= 0 && dup2(err[1], STDERR_FILENO) >= 0)
            execv(argv[0], argv.data());
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    _in = in[1];
    _out = out[0];
    _err = err[0];
}

Process::~Process()
{
    if (_pid > 0) {
        kill(_pid, SIGKILL);
        waitpid(_pid, nullptr, 0);
    }
    close(_in);
    close(_out);
    close(_err);
}

void Process::write(const std::string &line)
{
    const std::string text = line + "\n";
    CHECK(::write(_in, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

std::string Process::line(const std::string &part)
{
    return next(_out, _out_rest, part);
}

std::string Process::error(const std::string &part)
{
    return next(_err, _err_rest, part);
}

bool Process::says(const std::string &part, int timeout_ms)
{
    std::string found;
    return find(_out, _out_rest, part, timeout_ms, found);
}

bool Process::find(int fd, std::string &rest, const std::string &part, int timeout_ms, std::string &found)
{
    for (;;) {
        const std::string::size_type end = rest.find('\n');
        if (end != std::string::npos) {
            found = rest.substr(0, end);
            rest.erase(0, end + 1);
            if (found.find(part) != std::string::npos)
                return true;
            continue;
        }
        char buffer[4096];
        pollfd ready = {fd, POLLIN, 0};
        if (poll(&ready, 1, timeout_ms) != 1)
            return false;
        const ssize_t size = read(fd, buffer, sizeof buffer);
        if (size <= 0)
            test::fail(__FILE__, __LINE__, "it ended without a line with \"" + part + '"');
        rest.append(buffer, static_cast<std::string::size_type>(size));
    }
}

std::string Process::next(int fd, std::string &rest, const std::string &part)
{
    std::string found;
    if (!find(fd, rest, part, test::patience * 1000, found))
        test::fail(__FILE__, __LINE__, "no line with \"" + part + "\" came; behind the last: " + rest);
    return found;
}

int Process::wait()
{
    int status = 0;
    CHECK(waitpid(_pid, &status, 0) == _pid);
    _pid = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
