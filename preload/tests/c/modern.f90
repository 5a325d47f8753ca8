! Fortran 2008: the error argument is optional, and the names are others.
program modern
  use mpi_f08
  implicit none
  integer :: rank, level, provided
  call MPI_Init_thread(MPI_THREAD_FUNNELED, provided)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  call MPI_Query_thread(level)
  if (level == MPI_THREAD_MULTIPLE .and. provided >= MPI_THREAD_FUNNELED) then
    print '(a,i0,a)', 'rank ', rank, ' multiple'
  else
    print '(a,i0,a)', 'rank ', rank, ' less'
  end if
  call MPI_Finalize()
end program
