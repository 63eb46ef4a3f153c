/*
 * A plug-in in C++: exceptions, static constructors and destructors, RTTI, the library's containers.
 */
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "vx_guest.h"

VX_IMPORT(int, host_add, (int a, int b))

namespace {
int alive;
struct Counter {
    Counter() { alive++; }
    ~Counter() { alive--; }
};
std::map<std::string, int> table = { { "one", 1 }, { "two", 2 }, { "three", 3 } };
struct Shape {
    virtual ~Shape() {}
    virtual int area() const = 0;
};
struct Square : Shape {
    int side;
    explicit Square(int s) : side(s) {}
    int area() const override { return side * side; }
};
int dig(int depth)
{
    Counter here;
    if (depth == 0)
        throw std::runtime_error("bottom");
    return dig(depth - 1) + host_add(alive, 0);
}
}

VX_EXPORT int look_up(const char *name)
{
    try {
        return table.at(name);
    } catch (const std::out_of_range &) {
        return -1;
    }
}
/* How many frames were unwound, if each was tidied up. */
VX_EXPORT int unwind(int depth)
{
    try {
        dig(depth);
    } catch (const std::exception &error) {
        return alive == 0 && std::string(error.what()) == "bottom" ? depth : -1;
    }
    return -2;
}
VX_EXPORT int areas(int count)
{
    std::vector<std::unique_ptr<Shape>> shapes;
    for (int i = 1; i <= count; i++)
        shapes.push_back(std::make_unique<Square>(i));
    int sum = 0;
    for (const auto &shape : shapes)
        sum += dynamic_cast<const Square &>(*shape).area();
    return sum;
}
VX_EXPORT void uncaught() { throw 1; }

int main() { vx_park(); }
