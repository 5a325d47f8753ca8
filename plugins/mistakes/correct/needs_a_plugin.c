/* Must load: an ordinary library that needs a plugin (DT_NEEDED). dlsym finds dlcast_plugin_table_v1 through it, but in the plugin:
   the table is not its own, so that it is no plugin. The other one came with it, and is registered.
   Registers: nothing */
int needs_a_plugin(void) { return 1; }
