/* SQLite in memory: inserts in a transaction, an index, joins, text, aggregates. */
#include "guest.h"
#include <sqlite3.h>

static uint32_t sum = GUEST_SUM;

static int take_row(void *unused, int columns, char **values, char **names)
{
    (void)unused;
    (void)names;
    for (int i = 0; i < columns; i++)
        sum = guest_sum(sum, values[i] ? values[i] : "-", values[i] ? strlen(values[i]) : 1);
    return 0;
}

static void run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, take_row, NULL, &message) != SQLITE_OK) {
        printf("%s: %s\n", sql, message);
        exit(1);
    }
}

static void fill(sqlite3 *db, uint32_t seed)
{
    sqlite3_stmt *insert;
    guest_need(sqlite3_prepare_v2(db, "insert into item values (?, ?, ?, ?)", -1, &insert, NULL) ==
                   SQLITE_OK, "prepare");
    for (int i = 0; i < 1000; i++) {
        unsigned char name[24];
        guest_text(name, sizeof name, guest_random(&seed));
        sqlite3_bind_int(insert, 1, i);
        sqlite3_bind_text(insert, 2, (const char *)name, sizeof name, SQLITE_TRANSIENT);
        sqlite3_bind_int(insert, 3, (int)(guest_random(&seed) % 50));
        sqlite3_bind_double(insert, 4, (double)(guest_random(&seed) >> 8) / 1000);
        guest_need(sqlite3_step(insert) == SQLITE_DONE, "step");
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 6);
    for (unsigned round = 0; round < count; round++) {
        sqlite3 *db;
        guest_need(sqlite3_open(":memory:", &db) == SQLITE_OK, "open");
        run(db, "create table item (id integer primary key, name text, kind int, price real)");
        run(db, "create table kind (id int, label text)");
        run(db, "begin");
        fill(db, round + 1);
        run(db, "with recursive c(x) as (values(0) union all select x+1 from c where x < 49)"
                "insert into kind select x, 'kind ' || (x % 7) from c");
        run(db, "commit");
        run(db, "create index by_kind on item (kind, price)");
        run(db, "select kind, count(*), printf('%.6g', avg(price)), max(name) from item group by kind");
        run(db, "select label, printf('%.4f', sum(price)) from item join kind on kind.id = item.kind"
                " group by label order by 2 desc");
        run(db, "select id, upper(name) from item where name like '%guest%' order by price limit 40");
        run(db, "update item set price = price * 1.5 where kind < 20 and price > 1000");
        run(db, "delete from item where id % 3 = 1");
        run(db, "select count(*), length(group_concat(hex(substr(name, 2, 5)))) from item");
        run(db, "pragma integrity_check");
        sqlite3_close(db);
    }
    return guest_report("sqlite", sum);
}
