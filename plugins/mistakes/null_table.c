/* Must fail: the plugin says that it has no table, as one does whose memory gave out while it registered. A library without
   the function is no plugin (correct/ordinary.c); one with the function has a table.
   Must say: it is a null pointer */
#include <dlcast_plugin.h>

const dlcast_table_v1 *dlcast_plugin_table_v1(void) { return NULL; }
