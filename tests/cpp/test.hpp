// The harness of the C++ tests. A test is a sentence and a body that returns if it is true:
//
//     TEST("a state is copied cheaply") { CHECK(...); }
//
// Every program of tests links main.cpp, and runs all of its tests, or those whose sentence has an argument in it.
// C++11 and later, with exceptions or without.
#ifndef NANOSTATE_TEST_HPP
#define NANOSTATE_TEST_HPP

#include <sstream>
#include <string>

#define TEST_JOIN2(a, b) a##b
#define TEST_JOIN(a, b) TEST_JOIN2(a, b)

#define TEST(sentence)                                                                                                 \
    static void TEST_JOIN(test_, __LINE__)();                                                                          \
    static const bool TEST_JOIN(added_, __LINE__) = test::add(sentence, TEST_JOIN(test_, __LINE__));                   \
    static void TEST_JOIN(test_, __LINE__)()

// The condition holds.
#define CHECK(...) ((__VA_ARGS__) ? (void)0 : test::fail(__FILE__, __LINE__, #__VA_ARGS__))
// The values are equal.
#define EQUAL(wanted, ...) test::equal(__FILE__, __LINE__, #__VA_ARGS__, (wanted), (__VA_ARGS__))
// The string has this part.
#define CONTAINS(part, ...) test::contains(__FILE__, __LINE__, #__VA_ARGS__, (part), (__VA_ARGS__))

namespace test {

// Seconds that nothing here takes unless something is wrong.
enum { patience = 30 };

bool add(const char *sentence, void (*body)());

// Ends the program with a message.
[[noreturn]] void fail(const char *file, int line, const std::string &what);

template <typename A, typename B>
void equal(const char *file, int line, const char *call, const A &wanted, const B &value)
{
    if (value == wanted)
        return;
    std::ostringstream words;
    words << call << " is \"" << value << "\", not \"" << wanted << '"';
    fail(file, line, words.str());
}

inline void contains(const char *file, int line, const char *call, const std::string &part, const std::string &text)
{
    if (text.find(part) == std::string::npos)
        fail(file, line, std::string(call) + " is \"" + text + "\", without \"" + part + '"');
}

} // namespace test

#endif
