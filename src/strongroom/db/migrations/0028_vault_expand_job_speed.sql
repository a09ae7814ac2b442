-- How fast a job has lately been, for saying when it will be done.
alter table vault.job add column items_a_second double precision check (items_a_second >= 0);
