local lengths = lengths_of(request.gate)
return lengths[1] + lengths[2] + lengths[3]
