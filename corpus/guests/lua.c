/* Lua 5.4 with an embedded script: numbers, strings, tables, closures, errors. */
#include "guest.h"
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static const char script[] =
    "local n = ...\n"
    "local sum = 0\n"
    "for i = 1, n * 2000 do sum = (sum * 31 + i % 7) & 0x7fffffff end\n"
    "local x = 0.5\n"
    "for i = 1, n * 1000 do x = 3.7 * x * (1 - x) end\n"
    "local parts = {}\n"
    "for i = 1, n * 60 do parts[#parts + 1] = string.format('%d:%s', i * 7919 % 1000, i) end\n"
    "table.sort(parts)\n"
    "local text = table.concat(parts, ',')\n"
    "local words = 0\n"
    "for w in text:gmatch('%d+:') do words = words + #w end\n"
    "text = text:gsub('1', 'one'):upper():rep(2)\n"
    "local function counter(step)\n"
    "  local at = 0\n"
    "  return function(k) at = at + step * (k or 1); return at end\n"
    "end\n"
    "local c = counter(3)\n"
    "for i = 1, n * 500 do c(i & 3) end\n"
    "local account = {}\n"
    "account.__index = account\n"
    "function account.new() return setmetatable({total = 0}, account) end\n"
    "function account:add(v) self.total = self.total + v; return self end\n"
    "local a = account.new()\n"
    "for i = 1, n * 300 do a:add(i):add(-1) end\n"
    "local ok, message = pcall(function() error({code = n}) end)\n"
    "local co = coroutine.wrap(function() for i = 1, n * 50 do coroutine.yield(i * i) end return 0 end)\n"
    "local squares = 0\n"
    "for i = 1, n * 50 do squares = squares + co() end\n"
    "return string.format('%d %.14g %d %d %d %d %s %d %d', sum, x, words, #text, c(), a.total,\n"
    "  tostring(ok), message.code, squares)\n";

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 20);
    uint32_t sum = GUEST_SUM;
    lua_State *lua = luaL_newstate();
    guest_need(lua != NULL, "state");
    luaL_openlibs(lua);
    for (unsigned round = 0; round < count; round++) {
        guest_need(luaL_loadstring(lua, script) == LUA_OK, "load");
        lua_pushinteger(lua, 1 + round % 10);
        if (lua_pcall(lua, 1, 1, 0) != LUA_OK) {
            printf("%s\n", lua_tostring(lua, -1));
            return 1;
        }
        const char *result = lua_tostring(lua, -1);
        if (round < 2)
            printf("%s\n", result);
        sum = guest_sum(sum, result, strlen(result));
        lua_pop(lua, 1);
    }
    lua_close(lua);
    return guest_report("lua", sum);
}
