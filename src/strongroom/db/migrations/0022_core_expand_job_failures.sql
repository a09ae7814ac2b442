-- How often a job's handler failed in a row: a job that is looked at many times, as it should be, is not one that fails.
alter table jobs.job add column failures integer not null default 0;
