! Fortran as it was: mpif.h's names.
program classic
  use mpi
  implicit none
  integer :: ierr, rank, level
  call mpi_init(ierr)
  call mpi_comm_rank(MPI_COMM_WORLD, rank, ierr)
  call mpi_query_thread(level, ierr)
  if (level == MPI_THREAD_MULTIPLE) then
    print '(a,i0,a)', 'rank ', rank, ' multiple'
  else
    print '(a,i0,a)', 'rank ', rank, ' less'
  end if
  call mpi_finalize(ierr)
end program
