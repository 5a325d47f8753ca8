/* What a library is that has lost its functions. */
int nothing;
