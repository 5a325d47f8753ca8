/* Must load: an ordinary library, without a table. It is loaded everywhere, and there is nothing to register.
   Registers: nothing */
int ordinary(void) { return 1; }
