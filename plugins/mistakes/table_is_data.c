/* Must fail: the one symbol that makes a plugin is a function, and here it is a variable; calling it would be the end.
   Must say: dlcast_plugin_table_v1 is no function */
const int dlcast_plugin_table_v1[4] = {1, 48, 0, 0};
