/* Must fail: the table is said to be where nothing is mapped.
   Must say: 0x1000 is no readable address */
#include <dlcast_plugin.h>

const dlcast_table_v1 *dlcast_plugin_table_v1(void) { return (const dlcast_table_v1 *)0x1000; }
