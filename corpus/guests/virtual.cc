/* Virtual calls through tables: eight classes in random order. */
#include "guest.h"
#include <memory>
#include <vector>

struct shape {
    virtual ~shape() {}
    virtual uint32_t area(uint32_t scale) const = 0;
    virtual void grow(uint32_t by) = 0;
};

template <int kind> struct figure : shape {
    uint32_t size = kind + 1;
    uint32_t area(uint32_t scale) const override { return size * scale + kind * size; }
    void grow(uint32_t by) override { size = (size + by * kind + 1) & 0xffff; }
};

template <int kind> static std::unique_ptr<shape> make()
{
    return std::unique_ptr<shape>(new figure<kind>());
}

int main(int argc, char **argv)
{
    static std::unique_ptr<shape> (*const makers[])() = {
        make<0>, make<1>, make<2>, make<3>, make<4>, make<5>, make<6>, make<7>,
    };
    unsigned count = guest_count(argc, argv, 3000);
    uint32_t seed = 12345, sum = GUEST_SUM;
    std::vector<std::unique_ptr<shape>> shapes;
    for (int i = 0; i < 1000; i++)
        shapes.push_back(makers[guest_random(&seed) >> 29]());
    for (unsigned i = 0; i < count; i++) {
        uint32_t total = 0;
        for (auto &one : shapes) {
            total += one->area(i & 7);
            if (total & 1)
                one->grow(total & 15);
        }
        sum = guest_sum32(sum, total);
    }
    return guest_report("virtual", sum);
}
