-- What the second person is shown of a request besides its route: canonical JSON without a card number. Null: nothing is.
-- It says what somebody wrote, so it is gone 400 days after the approval is over; the approval itself stays.
alter table identity.approval add column about text check (length(about) between 2 and 4000);
create index approval_about on identity.approval (expires_at) where about is not null;

-- The job that takes it out sees whose it is; what it then changes, it changes as that tenant.
create policy forgetting on identity.approval for select to strongroom_console using (
    current_setting('strongroom.job', true) = 'expiry' and about is not null
    and expires_at < now() - interval '400 days'
);
