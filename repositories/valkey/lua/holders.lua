return call('ZRANGE', HOLDERS, '(' .. now, '+inf', 'BYSCORE')
