/* C++ exceptions: thrown through frames with destructors, rethrown, by type. */
#include "guest.h"
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

static uint32_t sum = GUEST_SUM;

struct witness {
    uint32_t id;
    explicit witness(uint32_t i) : id(i) {}
    ~witness() { sum = guest_sum32(sum, id); }
};

struct odd_error : std::runtime_error {
    uint32_t depth;
    explicit odd_error(uint32_t d) : std::runtime_error("odd " + std::to_string(d)), depth(d) {}
};

static GUEST_NOINLINE uint32_t dig(uint32_t depth, uint32_t value)
{
    witness here(depth);
    if (!depth) {
        if (value % 5 == 0)
            throw value;
        if (value & 1)
            throw odd_error(value);
        if (value % 3 == 0)
            throw std::out_of_range("three");
        return value;
    }
    try {
        return dig(depth - 1, value + depth) + 1;
    } catch (const odd_error &error) {
        if (depth % 3)
            throw;
        return error.depth + (uint32_t)std::string(error.what()).size();
    }
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 3000);
    std::map<std::string, std::vector<uint32_t>> log;
    for (unsigned round = 0; round < count; round++) {
        try {
            log["value"].push_back(dig(round % 9, round));
            log["at"].push_back(log["value"].at(round));
        } catch (const odd_error &error) {
            log["odd"].push_back(error.depth);
        } catch (const std::exception &error) {
            log[error.what()].push_back(round);
        } catch (uint32_t value) {
            log["number"].push_back(value);
        }
    }
    for (const auto &entry : log) {
        for (uint32_t value : entry.second)
            sum = guest_sum32(sum, value);
        sum = guest_sum(sum, entry.first.data(), entry.first.size());
    }
    return guest_report("exceptions", sum);
}
