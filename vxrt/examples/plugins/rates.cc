/*
 * A plug-in in C++ (g++ -m32 -static): constructors of statics have run when it parks, and exceptions work inside it. None may
 * leave a function that the host calls.
 */
#include <map>
#include <stdexcept>
#include <string>

#include <vx/vx_guest.h>

VX_IMPORT(int, host_rate, (const char *currency))

static std::map<std::string, int> rates = { { "EUR", 100 }, { "USD", 110 } };

/* Per cent; what is not known here the host is asked once. -1: unknown there, too. */
static int rate_of(const std::string &currency)
{
    try {
        return rates.at(currency);
    } catch (const std::out_of_range &) {
        int rate = host_rate(currency.c_str());
        if (rate < 0)
            throw std::runtime_error("no rate for " + currency);
        return rates[currency] = rate;
    }
}

VX_EXPORT int convert(const char *currency, int amount)
{
    try {
        return amount * rate_of(currency) / 100;
    } catch (const std::exception &) {
        return -1;
    }
}

VX_EXPORT void uncaught() { throw std::runtime_error("nobody catches it: terminate, abort, VX_TRAP_EXIT 134"); }

int main() { vx_park(); }
